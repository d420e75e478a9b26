//! A caller's own retry policy, in the place of the tool's: the argument `retry`.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::{MAX_ATTEMPTS, MAX_DELAY, Retry, RetryOn};
use smcp_common::setting::Setting;

use crate::app::App;
use crate::refusal::Refusal;

/// The longest first delay, in seconds: a day.
const MAX_INITIAL_S: f64 = 86_400.0;
const MAX_FACTOR: f64 = 100.0;

/// The JSON Schema of the argument.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "description": "What follows a failed attempt, in the place of what the tool declares.",
        "additionalProperties": false,
        "properties": {
            "max_attempts": {"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS, "default": 3,
                             "description": "All attempts, the first included."},
            "initial_s": {"type": "number", "minimum": 0, "maximum": MAX_INITIAL_S, "default": 1,
                          "description": "Seconds after the first failure; a random part of them is waited, as of all delays."},
            "factor": {"type": "number", "minimum": 1, "maximum": MAX_FACTOR, "default": 2,
                       "description": "What each further delay is multiplied with."},
            "max_s": {"type": "number", "minimum": 0, "maximum": MAX_DELAY.as_secs(), "default": 300,
                      "description": "Seconds of the longest delay; not less than initial_s."},
            "retry_on": {"type": "array", "uniqueItems": true, "items": {"type": "string", "enum": RetryOn::ALL},
                         "default": [RetryOn::Error, RetryOn::Timeout],
                         "description": "The ends of an attempt that another one follows."},
        },
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    max_attempts: Option<f64>,
    initial_s: Option<f64>,
    factor: Option<f64>,
    max_s: Option<f64>,
    retry_on: Option<Vec<RetryOn>>,
}

/// Reads the argument; what is not given is as in [`Retry::default`].
///
/// # Errors
/// `invalid_arguments`, which names what does not fit and what was expected.
pub fn read(value: Value) -> Result<Retry, Refusal> {
    let Given {
        max_attempts,
        initial_s,
        factor,
        max_s,
        retry_on,
    } = serde_json::from_value(value).map_err(|error| {
        Refusal::invalid_arguments(format!("Invalid arguments: argument 'retry': {error}."))
    })?;
    let default = Retry::default();
    let max_attempts = whole(within(
        "max_attempts",
        max_attempts,
        1.0,
        f64::from(MAX_ATTEMPTS),
    )?)?;
    let initial_ms = millis(within("initial_s", initial_s, 0.0, MAX_INITIAL_S)?);
    let initial_ms = initial_ms.unwrap_or(default.initial_ms);
    let max_ms = millis(within("max_s", max_s, 0.0, MAX_DELAY.as_secs_f64())?);
    if max_ms.is_some_and(|max_ms| max_ms < initial_ms) {
        let initial_s = std::time::Duration::from_millis(initial_ms).as_secs_f64();
        return Err(unfit(
            "max_s",
            &format!("must not be less than initial_s, which is {initial_s}"),
        ));
    }
    Ok(Retry {
        max_attempts: max_attempts.unwrap_or(default.max_attempts),
        initial_ms,
        factor: within("factor", factor, 1.0, MAX_FACTOR)?.unwrap_or(default.factor),
        max_ms: max_ms.unwrap_or_else(|| default.max_ms.max(initial_ms)),
        retry_on: retry_on.unwrap_or(default.retry_on),
    })
}

/// Refuses a policy that asks for more attempts than operators allow callers (the setting `jobs.max_attempts`).
///
/// # Errors
/// `invalid_arguments`; database errors.
pub fn check(app: &App, retry: Option<&Retry>) -> Result<(), Refusal> {
    let Some(retry) = retry else {
        return Ok(());
    };
    let most = app.setting(Setting::JobAttempts)?;
    if i64::from(retry.max_attempts) <= most {
        return Ok(());
    }
    Err(unfit(
        "max_attempts",
        &format!(
            "is {}, but callers may ask for {most} at most (the setting {})",
            retry.max_attempts,
            Setting::JobAttempts.name()
        ),
    ))
}

fn within(name: &str, given: Option<f64>, least: f64, most: f64) -> Result<Option<f64>, Refusal> {
    match given {
        Some(number) if !(least..=most).contains(&number) => Err(unfit(
            name,
            &format!("is {number}, but must be between {least} and {most}"),
        )),
        Some(_) | None => Ok(given),
    }
}

fn whole(attempts: Option<f64>) -> Result<Option<u32>, Refusal> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 100"
    )]
    let convert = |attempts: f64| {
        if attempts.fract() == 0.0 {
            Ok(attempts as u32)
        } else {
            Err(unfit(
                "max_attempts",
                &format!("is {attempts}, but must be a whole number"),
            ))
        }
    };
    attempts.map(convert).transpose()
}

fn millis(seconds: Option<f64>) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative and at most a week"
    )]
    seconds.map(|seconds| (seconds * 1000.0).round() as u64)
}

fn unfit(name: &str, why: &str) -> Refusal {
    Refusal::invalid_arguments(format!("Invalid arguments: argument 'retry.{name}' {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_the_default() {
        assert_eq!(read(json!({})), Ok(Retry::default()));
        let all = json!({"max_attempts": 5, "initial_s": 0.5, "factor": 3, "max_s": 60, "retry_on": ["worker_lost"]});
        let expected = Retry {
            max_attempts: 5,
            initial_ms: 500,
            factor: 3.0,
            max_ms: 60_000,
            retry_on: vec![RetryOn::WorkerLost],
        };
        assert_eq!(read(all), Ok(expected));
        let long = read(json!({"initial_s": 3600})).unwrap();
        assert_eq!((long.initial_ms, long.max_ms), (3_600_000, 3_600_000));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (given, expected) in [
            (
                json!({"max_attempts": 0}),
                "'retry.max_attempts' is 0, but must be between 1 and 100",
            ),
            (json!({"max_attempts": -3}), "'retry.max_attempts' is -3"),
            (
                json!({"max_attempts": 1e9}),
                "'retry.max_attempts' is 1000000000",
            ),
            (
                json!({"max_attempts": 1.5}),
                "'retry.max_attempts' is 1.5, but must be a whole number",
            ),
            (json!({"max_attempts": "many"}), "argument 'retry'"),
            (json!({"initial_s": 86_401}), "'retry.initial_s'"),
            (json!({"factor": 0.5}), "'retry.factor'"),
            (json!({"max_s": 604_801}), "'retry.max_s'"),
            (
                json!({"max_s": 1, "initial_s": 2}),
                "'retry.max_s' must not be less than initial_s, which is 2",
            ),
            (json!({"retry_on": ["luck"]}), "unknown variant `luck`"),
            (json!({"attempts": 3}), "unknown field `attempts`"),
            (json!(3), "argument 'retry'"),
        ] {
            let refused = read(given.clone()).unwrap_err();
            assert_eq!(refused.code, "invalid_arguments");
            assert!(
                refused.message.contains(expected),
                "{given}: {}",
                refused.message
            );
        }
    }

    #[test]
    fn the_schema_admits_what_can_be_read_and_nothing_else() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for (given, fits) in [
            (json!({}), true),
            (
                json!({"max_attempts": 100, "initial_s": 86_400, "max_s": 604_800, "retry_on": []}),
                true,
            ),
            (json!({"max_attempts": 101}), false),
            (json!({"max_attempts": 0}), false),
            (json!({"factor": 101}), false),
            (json!({"retry_on": ["luck"]}), false),
            (json!({"attempts": 3}), false),
        ] {
            assert_eq!(validator.is_valid(&given), fits, "{given}");
            assert_eq!(read(given.clone()).is_ok(), fits, "{given}");
        }
    }
}
