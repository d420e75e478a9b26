//! Backups, and the check that tells a sound database from another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

conformance!(
    a_backup_is_a_database_with_the_same_jobs,
    a_backup_is_taken_while_a_transaction_is_open,
    a_backup_never_overwrites,
    a_failed_backup_leaves_nothing,
    a_sound_database_is_found_sound,
    a_changed_audit_record_is_named,
    damage_is_described,
);

async fn a_backup_is_a_database_with_the_same_jobs(world: World) {
    let id = world.submit(job()).await;
    let to = world.directory.path().join("backup.db");
    let size = backup(&world.path(), &to).unwrap();
    assert_eq!(size, fs::metadata(&to).unwrap().len());
    assert_eq!(
        fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(check(&to, Trust::default()).unwrap().is_sound());

    world.submit(job()).await;
    let copy = Queue::open(&options(to, world.commit), ManualClock::at(START)).unwrap();
    let jobs = copy
        .jobs(Filter {
            limit: 10,
            ..Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        jobs.iter().map(|job| &job.id).collect::<Vec<_>>(),
        [&id],
        "as it was then"
    );
}

async fn a_backup_is_taken_while_a_transaction_is_open(world: World) {
    world.submit(job()).await;
    let writer = world.sql();
    writer
        .execute_batch("BEGIN IMMEDIATE; UPDATE jobs SET priority = 7")
        .unwrap();
    let to = world.directory.path().join("backup.db");
    backup(&world.path(), &to).unwrap();
    writer.execute_batch("COMMIT").unwrap();
    let copied: i64 = rusqlite::Connection::open(to)
        .unwrap()
        .query_row("SELECT priority FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(copied, 0, "what is not committed is not copied");
}

async fn a_backup_never_overwrites(world: World) {
    let to = world.directory.path().join("precious");
    fs::write(&to, "precious").unwrap();
    assert!(matches!(backup(&world.path(), &to), Err(BackupError::Exists(path)) if path == to));
    assert_eq!(fs::read_to_string(&to).unwrap(), "precious");
}

async fn a_failed_backup_leaves_nothing(world: World) {
    let to = world.directory.path().join("backup.db");
    let nowhere = world.directory.path().join("no/such/directory/backup.db");
    assert!(matches!(
        backup(&world.path(), &nowhere),
        Err(BackupError::Io { .. })
    ));
    let missing = world.directory.path().join("missing.db");
    assert!(matches!(
        backup(&missing, &to),
        Err(BackupError::Source(OpenError::Io { .. }))
    ));
    assert!(!to.exists() && !missing.exists());
}

async fn a_sound_database_is_found_sound(world: World) {
    world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, failed()).await.unwrap();
    let condition = check(&world.path(), Trust::default()).unwrap();
    assert!(
        condition.is_sound() && condition.audit_records >= 2,
        "{condition:?}"
    );
}

async fn a_changed_audit_record_is_named(world: World) {
    for _ in 0..3 {
        world.submit(job()).await;
    }
    for change in ["agent = 'somebody'", "data = 'no JSON'", "at = at + 1"] {
        world
            .sql()
            .execute(&format!("UPDATE audit SET {change} WHERE seq = 2"), [])
            .unwrap();
        let condition = check(&world.path(), Trust::default()).unwrap();
        assert_eq!(
            (
                condition
                    .broken_audit
                    .as_ref()
                    .map(|finding| finding.record),
                condition.audit_records
            ),
            (Some(2), 1),
            "{change}"
        );
        assert!(!condition.is_sound());
    }
}

async fn damage_is_described(world: World) {
    for _ in 0..200 {
        world.submit(job()).await;
    }
    let copy = world.directory.path().join("damaged.db");
    backup(&world.path(), &copy).unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    // The last page: a leaf. Damage at the roots is an error already when the file is opened.
    bytes.chunks_mut(4096).last().unwrap()[..64].fill(0xAA);
    fs::write(&copy, bytes).unwrap();
    let condition = check(&copy, Trust::default()).unwrap();
    assert!(
        !condition.damage.is_empty() && condition.broken_audit.is_none(),
        "{condition:?}"
    );
}

#[test]
fn what_is_no_database_of_ours_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let said = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        check(&path, Trust::default()).unwrap_err()
    };
    assert!(matches!(said("empty", b""), OpenError::NotOurs { .. }));
    assert!(matches!(
        said("letter", &b"dear grandmother, ".repeat(100)),
        OpenError::NotOurs { .. }
    ));
    assert!(matches!(
        check(&directory.path().join("missing"), Trust::default()),
        Err(OpenError::Io { .. })
    ));
}
