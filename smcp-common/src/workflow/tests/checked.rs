use serde_json::json;

use super::*;

fn problems(steps: Value) -> Vec<String> {
    let problems = check(&definition(steps));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_definition_has_no_problems() {
    let found = problems(json!([
        {"id": "before"},
        {"id": "deploy", "needs": ["before"], "on_failure": "run:undo", "arguments": {"v": ["${steps.before.result.v[0]}"]},
         "verify": {"tool": "t__t", "arguments": {"of": "${steps.deploy.result.url} ${steps.deploy.job} ${steps.before.state}"},
                    "every": 0, "need": 3, "of": 5, "deadline": 120}},
        {"id": "after", "arguments": {"x": "${steps.deploy.state}"}, "on_failure": "continue"},
        {"id": "undo", "arguments": {"v": "${steps.before.result.v} ${steps.deploy.error.code} ${steps.deploy.state}"},
         "verify": {"tool": "t__t", "arguments": {"x": "${steps.undo.result}"}, "every": 86400, "need": 1, "of": 100,
                    "deadline": 604_800}},
    ]));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn each_problem_is_told_with_its_place() {
    let verify = |need: u32, of: u32, every: f64, deadline: f64| json!({"id": "a", "verify": {"tool": "t__t", "need": need, "of": of, "every": every, "deadline": deadline}});
    let rows = [
        (
            json!([]),
            "steps: a workflow has 1 to 100 steps, but this one has 0",
        ),
        (
            json!([{"id": "A b"}]),
            "steps[0].id: 'A b' is no id: 1 to 64 of a–z, 0–9, - and _, beginning with a letter or digit",
        ),
        (
            json!([{"id": "a"}, {"id": "a"}]),
            "steps[1].id: 'a' is the id of steps[0], too",
        ),
        (
            json!([verify(6, 5, 1.0, 1.0)]),
            "steps[0].verify.need: it must be 1 to 'of', which is 5",
        ),
        (
            json!([verify(1, 101, 1.0, 1.0)]),
            "steps[0].verify.of: it must be 1 to 100",
        ),
        (
            json!([verify(1, 1, 86_401.0, 1.0)]),
            "steps[0].verify.every: it must be 0 to 86400 seconds, a day",
        ),
        (
            json!([verify(1, 1, 0.0, 0.0)]),
            "steps[0].verify.deadline: it must be more than 0 and at most 604800 seconds, seven days",
        ),
        (
            json!([{"id": "build"}, {"id": "b", "needs": ["biuld"]}]),
            "steps[1].needs[0]: there is no step 'biuld'; did you mean 'build'?",
        ),
        (
            json!([{"id": "a", "needs": ["zzzzzz"]}]),
            "steps[0].needs[0]: there is no step 'zzzzzz'",
        ),
        (
            json!([{"id": "a", "needs": ["a"]}]),
            "steps[0].needs[0]: a step cannot wait for itself",
        ),
        (
            json!([{"id": "x"}, {"id": "a", "needs": ["b", "x"]}, {"id": "b", "needs": ["c"]}, {"id": "c", "needs": ["a"]}]),
            "steps[1].needs: the steps wait for each other in a cycle: a → b → c → a",
        ),
        (
            json!([{"id": "a", "arguments": {"x": "${steps.b.result}"}}, {"id": "b", "needs": ["a"]}]),
            "steps[0].needs: the steps wait for each other in a cycle: a → b → a",
        ),
        (
            json!([{"id": "a", "arguments": {"x": {"y": [1, "${steps.a.result}"]}}}]),
            "steps[0].arguments.x.y[1]: ${steps.a.result}: a step cannot refer to itself",
        ),
        (
            json!([{"id": "a", "arguments": {"x": "${oops"}}]),
            "steps[0].arguments.x: '${oops' has no closing brace; write $${ for a literal ${",
        ),
        (
            json!([{"id": "a"}, {"id": "b", "arguments": {"x": "${steps.a.error.code}"}}]),
            "steps[1].arguments.x: ${steps.a.error.code}: 'a' need not have failed when 'b' begins; only a step that is run at its \
             failure (on_failure = \"run:…\") can refer to its error",
        ),
        (
            json!([{"id": "a", "verify": {"tool": "t__t", "arguments": {"x": "${steps.a.state}"}, "every": 1, "need": 1, "of": 1,
                    "deadline": 1}}]),
            "steps[0].verify.arguments.x: ${steps.a.state}: a check can refer to the .result and the .job of its own step, and to \
             nothing else of it",
        ),
        (
            json!([{"id": "a", "on_failure": "run:a"}]),
            "steps[0].on_failure: a step cannot be run at its own failure",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}]),
            "steps[0].on_failure: there is no step 'undo'",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "undo", "needs": ["a"]}]),
            "steps[1].needs: 'undo' is run when 'a' fails, so that it waits for nothing else",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "undo", "on_failure": "continue"}]),
            "steps[1].on_failure: 'undo' is itself run when 'a' fails, and the workflow ends with it",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "undo"}, {"id": "b", "needs": ["undo"]}]),
            "steps[2].needs[0]: 'undo' is run only when 'a' fails",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "undo"}, {"id": "b", "arguments": {"x": "${steps.undo.result}"}}]),
            "steps[2].arguments.x: ${steps.undo.result}: 'undo' is run only when 'a' fails",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "b"}, {"id": "undo", "arguments": {"x": "${steps.b.result}"}}]),
            "steps[2].arguments.x: ${steps.b.result}: 'b' need not have run when 'a' fails; let the step that fails need it",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "undo", "arguments": {"x": "${steps.a.result}"}}]),
            "steps[1].arguments.x: ${steps.a.result}: 'a' has failed when 'undo' begins; of it there are .state, .error.code and \
             .error.message",
        ),
        (
            json!([{"id": "a", "on_failure": "run:undo"}, {"id": "b", "on_failure": "run:undo"},
                   {"id": "undo", "arguments": {"x": "${steps.b.error.code}"}}]),
            "steps[2].arguments.x: ${steps.b.error.code}: 'undo' is run when 'a' or 'b' fails, so that 'b' need not have failed",
        ),
    ];
    for (steps, expected) in rows {
        assert_eq!(problems(steps.clone()), [expected], "{steps}");
    }
}

#[test]
fn a_form_that_cannot_be_read_is_told_with_its_place() {
    let rows = [
        (json!({"name": "x"}), "steps: a list of steps is expected"),
        (
            json!({"steps": [{"id": "a", "tool": "t"}, {"id": "b"}]}),
            "steps[1]: missing field `tool`",
        ),
        (
            json!({"steps": [{"id": "a", "tool": "t", "on_failure": "run:"}]}),
            "steps[0]: on_failure is \"stop\", \"continue\" or \"run:STEP\", but not 'run:'",
        ),
    ];
    for (value, expected) in rows {
        let found = read(&value).unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected]);
    }
    let unknown = read(&json!({"steps": [{"id": "a", "tool": "t", "retires": 3}]})).unwrap_err();
    assert!(
        unknown[0].message.contains("unknown field `retires`"),
        "{unknown:?}"
    );
    let stray = read(&json!({"steps": [{"id": "a", "tool": "t"}], "stepz": 1})).unwrap_err();
    assert!(
        stray[0]
            .to_string()
            .starts_with("workflow: unknown field `stepz`"),
        "{stray:?}"
    );
}

#[test]
fn a_definition_is_stored_as_it_was_written() {
    let written = json!({"name": "n", "steps": [
        {"id": "a", "tool": "t__t", "arguments": {"z": 1, "a": "${steps.b.result}"}, "needs": ["b"], "on_failure": "run:c",
         "verify": {"tool": "t__t", "every": 0.5, "need": 1, "of": 2, "deadline": 3.0}},
        {"id": "b", "tool": "t__t", "on_failure": "continue"},
        {"id": "c", "tool": "t__t"},
    ]});
    let stored = serde_json::to_value(read(&written).unwrap()).unwrap();
    assert_eq!(stored.to_string(), written.to_string());
}
