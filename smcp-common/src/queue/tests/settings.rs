use super::*;
use crate::policy::Approval;
use crate::setting::Setting;

conformance!(
    a_setting_is_what_was_set_last,
    every_change_is_recorded_with_what_was_before,
    what_a_later_version_knew_is_passed_over,
    how_long_an_approval_is_waited_for_is_set,
);

const AGE: Setting = Setting::RetentionAge;

impl World {
    async fn set(&self, value: Option<i64>, by: &str) {
        self.queue.set_setting(AGE, value, by).await.unwrap();
    }
}

async fn a_setting_is_what_was_set_last(world: World) {
    assert_eq!(world.queue.setting(AGE).unwrap(), None);
    world.set(Some(600), "ada").await;
    world.clock.advance(Duration::from_secs(5));
    let other = world.second();
    let mut news = other.news();
    news.mark_unchanged();
    world.set(Some(700), "bob").await;
    let heard = tokio::time::timeout(Duration::from_secs(10), news.changed());
    heard.await.unwrap().unwrap();
    let set = SetSetting {
        setting: AGE,
        value: 700,
        at: START.plus(Duration::from_secs(5)),
        by: "bob".into(),
    };
    assert_eq!(world.second().settings().unwrap(), [set]);
    assert_eq!(world.second().setting(AGE).unwrap(), Some(700));
    world.set(None, "ada").await;
    assert_eq!(world.queue.settings().unwrap(), []);
}

async fn every_change_is_recorded_with_what_was_before(world: World) {
    for value in [Some(600), Some(600), Some(700), None, None] {
        world.set(value, "ada").await;
    }
    assert_eq!(
        world.audited("setting.changed"),
        [
            r#"ada {"new":600,"old":null,"setting":"retention.age_s"}"#,
            r#"ada {"new":700,"old":600,"setting":"retention.age_s"}"#,
            r#"ada {"new":null,"old":700,"setting":"retention.age_s"}"#,
        ]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn what_a_later_version_knew_is_passed_over(world: World) {
    let unknown = "INSERT INTO settings VALUES ('moon.phase', 1, 1, 'ada')";
    world.sql().execute(unknown, []).unwrap();
    assert_eq!(world.queue.settings().unwrap(), []);
}

async fn how_long_an_approval_is_waited_for_is_set(world: World) {
    let until = |approval: Option<Approval>| {
        let (mut grant, _) = granted();
        grant.obligations.approval = approval;
        world.queue.binding(&grant, "digest").until
    };
    let approval = Approval {
        groups: vec!["ops".into()],
        approvals: 1,
    };
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(until(Some(approval.clone())), START.plus(day));
    let minute = world
        .queue
        .set_setting(Setting::ApprovalExpiry, Some(60), "ada");
    minute.await.unwrap();
    assert_eq!(until(Some(approval)), START.plus(Duration::from_mins(1)));
    assert_eq!(until(None), START);
}
