//! Links by which approvers decide in a browser, and what they show.

use reqwest::Method;
use serde_json::json;

use crate::agents::{added, said};
use crate::approvers::{RULES, approvals, approve, governed, waiting, word};
use crate::http::{Reply, request, send};
use crate::world::World;

/// A link of whoever has that key.
fn link(world: &World, key: &str, job: &str) -> String {
    let (code, printed) = approvals(world, key, &["link", job]);
    assert_eq!(code, 0, "{printed}");
    printed.trim().to_owned()
}

async fn get(url: &str) -> Reply {
    send(request(Method::GET, url)).await
}

/// Presses a button of the page, as a browser does.
async fn press(world: &World, url: &str, button: &str) -> Reply {
    let post = request(Method::POST, &format!("{url}/{button}")).header("origin", world.url());
    send(post.header("content-type", "application/x-www-form-urlencoded")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_decides_once_in_the_name_of_whoever_has_made_it() {
    let (world, _roles, people, naps) = governed(World::new().with("SMCP_LOG", "trace"));
    let ci = world.client_with_key(&people.ci).await;
    let job = ci.submit("sleepy__nap", naps.lasting(0.0, "<b>&\"'")).await;
    for (key, expected) in [
        (&people.ci, "approved of by the agent that asks"),
        (&people.eve, "waits for nobody's approval"),
    ] {
        let (code, refused) = approvals(&world, key, &["link", &job]);
        assert!(code == 1 && refused.contains(expected), "{refused}");
    }
    let url = link(&world, &people.ann, &job);
    assert!(
        url.starts_with(&format!("{}/approvals/", world.url())),
        "{url}"
    );

    for _look in 0..2 {
        let page = get(&url).await;
        assert_eq!(page.status, 200, "{page:?}");
        for part in [
            "<b>ci</b> asks to run <b>sleepy__nap</b>",
            "&lt;b&gt;&amp;",
            "You decide as <b>ann</b>",
            "<button>Approve</button>",
            "<button>Deny</button>",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        assert!(!page.body.contains("<b>&"), "{}", page.body);
        assert_headers(&page);
    }
    assert_eq!(
        world.state_of(&job),
        "awaiting_approval",
        "a look decides nothing"
    );
    let elsewhere =
        request(Method::POST, &format!("{url}/approve")).header("origin", "https://evil.example");
    assert_eq!(send(elsewhere).await.status, 403);
    assert_eq!(
        send(request(Method::GET, &format!("{url}/approve")))
            .await
            .status,
        405
    );
    assert_eq!(world.state_of(&job), "awaiting_approval");

    let decided = press(&world, &url, "approve").await;
    assert_eq!(decided.status, 200, "{decided:?}");
    assert!(decided.body.contains(&format!("Job {job} is now queued.")));
    assert_headers(&decided);
    for again in [
        get(&url).await,
        press(&world, &url, "approve").await,
        press(&world, &url, "deny").await,
    ] {
        assert_eq!(again.status, 410, "{again:?}");
        assert_headers(&again);
    }
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    let voted = &world.recorded("approval.voted")[0];
    assert_eq!(
        (&voted["via"], &voted["voice"]),
        (&json!("link"), &json!("approve"))
    );
    let token = url.rsplit('/').next().unwrap();
    assert!(!world.log().contains(token), "a link is as good as a key");
}

fn assert_headers(page: &Reply) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    // With `no-referrer` a browser would send `Origin: null` with the form, which is refused.
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_of_no_use_for_anything_but_what_it_was_made_for() {
    let (world, _roles, people, naps) = governed(World::new().with_own_plugin());
    let ci = world.client_with_key(&people.ci).await;
    let submit = async || ci.submit("sleepy__nap", naps.lasting(0.0, "n")).await;

    let decided = submit().await;
    let url = link(&world, &people.ann, &decided);
    let denied = approvals(&world, &people.ben, &["deny", &decided, "--yes"]);
    assert_eq!(denied.0, 0, "{denied:?}");
    assert_eq!(get(&url).await.status, 410);
    assert_eq!(press(&world, &url, "approve").await.status, 410);
    assert_eq!(world.state_of(&decided), "denied");

    let job = submit().await;
    let other = link(&world, &people.ann, &job);
    let forged = [
        format!("{}x", &other[..other.len() - 2]),
        format!("{}.{}", split(&url).0, split(&other).1),
        format!("{}/approvals/none", world.url()),
    ];
    for forged in &forged {
        assert_eq!(get(forged).await.status, 403, "{forged}");
        assert_eq!(
            press(&world, forged, "approve").await.status,
            403,
            "{forged}"
        );
    }
    // The same from the same address, within a minute, is one record: anybody can send as many as he likes.
    let refused = world.recorded("request.refused");
    let expected =
        json!({"address": "127.0.0.1", "code": "approval_link_invalid", "transport": "http"});
    assert_eq!(refused, [expected]);

    world.change_sleepy("# changed\n");
    assert_eq!(press(&world, &other, "approve").await.status, 409);
    assert_eq!(
        get(&other).await.status,
        409,
        "it was made for what would have run then"
    );
    assert_eq!(world.state_of(&job), "awaiting_approval");

    let renewed = link(&world, &people.ann, &job);
    said(&world, &["agents", "revoke", "ann"]);
    assert_eq!(press(&world, &renewed, "approve").await.status, 403);
    let refused = world.recorded("approval.refused");
    assert_eq!(
        word(refused.first().unwrap(), "code"),
        "approval_not_allowed"
    );
    // Another one of that name has made no link.
    added(&world, &["ann", "--group", "ops"]);
    assert_eq!(get(&renewed).await.status, 403);
    assert_eq!(press(&world, &renewed, "approve").await.status, 403);
    assert_eq!(world.state_of(&job), "awaiting_approval");
    let by_ben = link(&world, &people.ben, &job);
    assert_eq!(press(&world, &by_ben, "deny").await.status, 200);
    assert_eq!(world.state_of(&job), "denied");
    assert_eq!(naps.lines().len(), 0);
}

/// What a link says, with its address, and its signature.
fn split(url: &str) -> (&str, &str) {
    url.rsplit_once('.').unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_of_no_use_for_the_same_job_asked_for_again() {
    let (world, _roles, people, naps) = governed(World::new());
    let ci = world.client_with_key(&people.ci).await;
    let job = ci.submit("sleepy__nap", naps.until_open("first")).await;
    let url = link(&world, &people.ann, &job);
    assert_eq!(press(&world, &url, "approve").await.status, 200);
    naps.started("first");
    said(&world, &["jobs", "cancel", &job]);
    world.wait_for_state(&job, "cancelled");
    said(&world, &["jobs", "retry", &job]);
    assert_eq!(world.state_of(&job), "awaiting_approval");
    for again in [
        get(&url).await,
        press(&world, &url, "approve").await,
        press(&world, &url, "deny").await,
    ] {
        assert_eq!(again.status, 409, "{again:?}");
    }
    assert_eq!(world.state_of(&job), "awaiting_approval");
    let renewed = link(&world, &people.ann, &job);
    assert_eq!(press(&world, &renewed, "deny").await.status, 200);
    assert_eq!(naps.told("first", "start").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_arguments_are_approved_of_unseen() {
    let (world, _roles, people, _) = governed(World::new());
    let rule = r#"@id("asks-too") @requireApproval("ops") permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"keeper__leak", resource);"#;
    world.govern(&format!("{RULES}\n{rule}\n"));
    world.set_secret(&["KEEPER_TOKEN"], "the token of keeper");
    world.set_secret(&["keeper_key"], "the key of keeper");
    let ci = world.client_with_key(&people.ci).await;
    let arguments = json!({"pass-word": "pa55word<of>ci", "how": "text"});
    let job = ci.submit("keeper__leak", arguments).await;
    let shown = waiting(&world);
    assert_eq!(
        shown["arguments"],
        json!({"pass-word": "[redacted]", "how": "text"})
    );
    let page = get(&link(&world, &people.ann, &job)).await;
    assert!(
        page.body.contains("[redacted]") && !page.body.contains("pa55word"),
        "{page:?}"
    );
    approve(&world, &people.ann, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
}
