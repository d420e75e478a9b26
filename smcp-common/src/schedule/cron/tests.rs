use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// The next times as the zone's clocks show them.
fn local(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::read(cron, zone).unwrap();
    let times = cron.upcoming(at(after), count);
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    times.into_iter().map(|at| cron.local(at).local).collect()
}

#[test]
fn expressions_mean_what_they_mean_in_crontabs() {
    let rows: &[(&str, &[&str])] = &[
        (
            "0 9 * * 1",
            &["2026-11-23T09:00:00+00:00", "2026-11-30T09:00:00+00:00"],
        ),
        ("0 9 * * 0", &["2026-11-22T09:00:00+00:00"]),
        ("0 9 * * 7", &["2026-11-22T09:00:00+00:00"]),
        (
            "*/20 * * * * *",
            &["2026-11-21T10:00:20+00:00", "2026-11-21T10:00:40+00:00"],
        ),
        ("@daily", &["2026-11-22T00:00:00+00:00"]),
        (
            "0 0 L * *",
            &["2026-11-30T00:00:00+00:00", "2026-12-31T00:00:00+00:00"],
        ),
        // The 15th of November 2026 is a Sunday, the 15th of August 2027, too.
        ("0 0 15W 11 *", &["2027-11-15T00:00:00+00:00"]),
        ("0 0 15W 8 *", &["2027-08-16T00:00:00+00:00"]),
        ("0 0 * * 1#2", &["2026-12-14T00:00:00+00:00"]),
        ("0 0 * * FRI#L", &["2026-11-27T00:00:00+00:00"]),
        // Day of month or day of week, as everywhere.
        (
            "0 0 13 * 5",
            &["2026-11-27T00:00:00+00:00", "2026-12-04T00:00:00+00:00"],
        ),
        (
            "0 0 29 2 *",
            &["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"],
        ),
    ];
    for (cron, expected) in rows {
        let times = local(cron, "UTC", "2026-11-21T10:00:00Z", expected.len());
        assert_eq!(times, *expected, "{cron}");
    }
}

#[test]
fn a_fixed_time_in_a_gap_comes_right_after_it_and_in_an_overlap_once() {
    let rows = [
        // 02:00 to 03:00 is left out; 01:00 to 02:00 comes twice.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T04:00:00Z",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        // 02:00 to 03:00 is left out; 02:00 to 03:00 comes twice.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        // Half an hour: 02:00 to 02:30 is left out; 01:30 to 02:00 comes twice.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
    ];
    for (cron, zone, after, expected) in rows {
        assert_eq!(local(cron, zone, after, 2), expected, "{cron} in {zone}");
    }
}

#[test]
fn what_repeats_within_the_hours_follows_the_clocks() {
    let rows: [(&str, &str, &str, &[&str]); 6] = [
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-03-08T06:15:00Z",
            &[
                "2026-03-08T01:30:00-05:00",
                "2026-03-08T03:00:00-04:00",
                "2026-03-08T03:30:00-04:00",
            ],
        ),
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T05:15:00Z",
            &[
                "2026-11-01T01:30:00-04:00",
                "2026-11-01T01:00:00-05:00",
                "2026-11-01T01:30:00-05:00",
                "2026-11-01T02:00:00-05:00",
            ],
        ),
        (
            "0 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:30:00Z",
            &["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
        ),
        (
            "0 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:30:00Z",
            &[
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        ),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-10-03T15:20:00Z",
            &["2026-10-04T02:30:00+11:00", "2026-10-04T02:45:00+11:00"],
        ),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:40:00Z",
            &[
                "2026-04-05T01:45:00+11:00",
                "2026-04-05T01:30:00+10:30",
                "2026-04-05T01:45:00+10:30",
                "2026-04-05T02:00:00+10:30",
            ],
        ),
    ];
    for (cron, zone, after, expected) in rows {
        assert_eq!(
            local(cron, zone, after, expected.len()),
            expected,
            "{cron} in {zone}"
        );
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_the_field() {
    let fields = "it has 5 fields (minute, hour, day of month, month, day of week), 6 with seconds";
    let rows = [
        (
            "0 0 30 2 *",
            "UTC",
            "'0 0 30 2 *' never comes: no date fits it",
        ),
        ("0 0 31 4,6,9,11 *", "UTC", "never comes"),
        ("0 0 0 30 2 *", "UTC", "never comes"),
        ("0 25 * * *", "UTC", "the hour '25' cannot be read"),
        ("60 * * * *", "UTC", "the minute '60' cannot be read"),
        ("* * * * * 8", "UTC", "the day of week '8' cannot be read"),
        ("0 9 * MAI *", "UTC", "the month 'MAI' cannot be read"),
        ("0 9 X * *", "UTC", "the day of month 'X' cannot be read"),
        ("0 9 * * 1#6", "UTC", "the day of week '1#6' cannot be read"),
        ("5-1 * * * *", "UTC", "the minute '5-1' cannot be read"),
        ("*/0 * * * *", "UTC", "the minute '*/0' cannot be read"),
        ("", "UTC", fields),
        ("* * * *", "UTC", fields),
        ("0 0 1 1 * * 2030", "UTC", fields),
        ("@reboot", "UTC", fields),
        ("every day", "UTC", fields),
        (
            "0 9 * * 1",
            "Mars/Olympus",
            "'Mars/Olympus' is no time zone; write an IANA name such as Europe/Berlin or UTC",
        ),
        ("0 9 * * 1", "", "'' is no time zone"),
        ("0 9 * * 1", "europe/berlin", "did you mean Europe/Berlin?"),
        ("0 9 * * 1", "new york", "did you mean America/New_York?"),
        ("0 9 * * 1", "+01:00", "is no time zone"),
    ];
    for (cron, zone, expected) in rows {
        let refused = Cron::parse(cron, zone, at("2026-11-21T10:00:00Z"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expected), "{cron}: {refused}");
    }
    let long = Cron::parse(&"*".repeat(201), "UTC", at("2026-11-21T10:00:00Z"));
    assert_eq!(long.unwrap_err(), CronError::Long(201));
}

#[test]
fn an_expression_is_read_out() {
    let rows = [
        (
            "0 9 * * 1",
            "Europe/Berlin",
            "At 09:00, on Monday, in Europe/Berlin",
        ),
        ("*/15 * * * *", "UTC", "Every 15 minutes, in UTC"),
        ("* * * * * *", "UTC", "Every second, in UTC"),
        ("@monthly", "UTC", "At 00:00, on day 1, in UTC"),
        (
            "0 18 L * *",
            "UTC",
            "At 18:00, on the last day of the month, in UTC",
        ),
        (
            "0 9 * * MON-FRI",
            "UTC",
            "At 09:00, on Monday, Tuesday, Wednesday, Thursday, and Friday, in UTC",
        ),
    ];
    for (cron, zone, expected) in rows {
        assert_eq!(
            Cron::read(cron, zone).unwrap().reading(),
            expected,
            "{cron}"
        );
    }
}

#[test]
fn instants_are_shown_with_offset_and_weekday() {
    let cron = Cron::read("@daily", "Asia/Kathmandu").unwrap();
    let expected = LocalTime {
        utc: "2026-11-23T00:00:00Z".to_owned(),
        local: "2026-11-23T05:45:00+05:45".to_owned(),
        weekday: "Monday",
    };
    assert_eq!(cron.local(at("2026-11-23T00:00:00Z")), expected);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-0-9*/,?LW#+@A-Za-z ]{0,24}", zone in "[A-Za-z/_]{0,12}") {
        drop(Cron::parse(&text, &zone, Timestamp::from_millis(0)));
        drop(Cron::parse(&text, "Europe/Berlin", Timestamp::from_millis(0)));
    }

    #[test]
    fn times_follow_one_another_at_any_instant(ms in 0..4_000_000_000_000_i64, n in 0..6_usize, z in 0..3_usize) {
        let cron = ["30 2 * * *", "*/7 * * * *", "0 0 L * *", "45 1 * * 0", "*/13 2 * * * *", "0 0 29 2 *"][n];
        let zone = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"][z];
        let cron = Cron::read(cron, zone).unwrap();
        let from = Timestamp::from_millis(ms);
        let times = cron.upcoming(from, 5);
        prop_assert_eq!(times.len(), 5);
        prop_assert!(times[0] > from && times.is_sorted_by(|a, b| a < b));
        prop_assert!(times.iter().all(|at| at.as_millis() % 1_000 == 0));
    }
}
