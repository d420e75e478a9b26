//! What happens when the database is in somebody's way, full, gone, or not a database.

use std::fs;

use super::*;

conformance!(
    another_process_is_woken,
    a_poller_notices_without_the_doorbell,
    a_held_write_lock_is_an_error_and_then_over,
    a_held_write_lock_keeps_nobody_from_opening,
    a_full_disk_stores_nothing_and_recovers,
    a_vanished_file_is_an_error_until_it_is_back,
    a_foreign_writer_is_noticed,
);

const PATIENCE: Duration = Duration::from_secs(10);

async fn another_process_is_woken(world: World) {
    let mut news = world.second().news();
    let _other = world.second();
    news.mark_unchanged();
    world.submit(job()).await;
    // The listener went with its queue: a closed channel is an error, a change is not.
    assert!(news.changed().await.is_err());

    let other = world.second();
    let mut news = other.news();
    world.submit(job()).await;
    tokio::time::timeout(PATIENCE, news.changed())
        .await
        .unwrap()
        .unwrap();
}

async fn a_poller_notices_without_the_doorbell(world: World) {
    let polling = Options {
        wake: Wake::Polling,
        ..options(world.path(), world.commit)
    };
    let other = Queue::open(&polling, world.clock.clone()).unwrap();
    let mut news = other.news();
    fs::remove_file(world.directory.path().join("smcp.db-bell")).unwrap();
    world.submit(job()).await;
    tokio::time::timeout(PATIENCE, news.changed())
        .await
        .unwrap()
        .unwrap();
}

async fn a_foreign_writer_is_noticed(world: World) {
    let mut news = world.queue.news();
    world
        .sql()
        .execute("UPDATE catalogue SET wanted = wanted + 1", [])
        .unwrap();
    tokio::time::timeout(PATIENCE, news.changed())
        .await
        .unwrap()
        .unwrap();
}

async fn a_held_write_lock_is_an_error_and_then_over(world: World) {
    let other = world.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = world.queue.submit(job()).await.unwrap_err();
    assert!(matches!(refused, QueueError::Busy) && refused.is_transient());
    other.execute_batch("ROLLBACK").unwrap();
    world.submit(job()).await;
}

async fn a_held_write_lock_keeps_nobody_from_opening(world: World) {
    let other = world.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(world.second().depth().await.unwrap().queued, 0);
}

/// Lets the database grow no further, as a full disk would.
struct LimitPages(u32);

impl c::Command for LimitPages {
    type Answer = ();

    fn apply(&self, tx: &mut c::Tx<'_>) -> Result<(), QueueError> {
        Ok(tx
            .connection
            .pragma_update(None, "max_page_count", self.0)?)
    }
}

async fn a_full_disk_stores_nothing_and_recovers(world: World) {
    let big = || NewJob {
        arguments: arguments(json!({"text": "x".repeat(4_000_000)})),
        ..job()
    };
    world.queue.store.write(LimitPages(200)).await.unwrap();
    let refused = world.queue.submit(big()).await.unwrap_err();
    assert!(matches!(refused, QueueError::DiskFull) && refused.is_transient());
    assert_eq!(world.queue.depth().await.unwrap().queued, 0);
    world
        .queue
        .store
        .write(LimitPages(1_000_000))
        .await
        .unwrap();
    world.submit(big()).await;
    assert_eq!(world.broken_audit(), None);
}

async fn a_vanished_file_is_an_error_until_it_is_back(world: World) {
    let away = world.directory.path().join("away.db");
    fs::rename(world.path(), &away).unwrap();
    let refused = world.queue.submit(job()).await.unwrap_err();
    assert!(
        matches!(&refused, QueueError::Vanished(path) if *path == world.path())
            && refused.is_transient()
    );
    fs::rename(&away, world.path()).unwrap();
    world.submit(job()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn many_processes_may_make_the_file_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("smcp.db");
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let opening = (0..8).map(|_| {
            let (path, start) = (path.clone(), std::sync::Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                Queue::open(&options(path, Commit::Grouped), ManualClock::at(START)).map(drop)
            })
        });
        for opened in opening.collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
    }
}

fn refusal(prepare: impl FnOnce(&std::path::Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smcp.db");
    prepare(&path);
    let before = fs::read(&path).unwrap();
    let refused = Queue::open(
        &options(path.clone(), Commit::Grouped),
        ManualClock::at(START),
    )
    .unwrap_err();
    assert_eq!(
        fs::read(&path).unwrap(),
        before,
        "a refused file is left as it was"
    );
    refused
        .to_string()
        .replace(directory.path().to_str().unwrap(), "DIR")
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused() {
    let said = refusal(|path| {
        fs::write(path, "hello, I am a letter to my grandmother".repeat(100)).unwrap();
    });
    insta::assert_snapshot!(said, @"DIR/smcp.db is not an SMCP database; move it away or choose another with --database");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let said = refusal(|path| {
        rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE cats (name)")
            .unwrap();
    });
    insta::assert_snapshot!(said, @"DIR/smcp.db is not an SMCP database; move it away or choose another with --database");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let said = refusal(|path| {
        let sql = rusqlite::Connection::open(path).unwrap();
        sql.execute_batch(
            "PRAGMA application_id = 0x534d4350; PRAGMA user_version = 99; CREATE TABLE t (x)",
        )
        .unwrap();
    });
    insta::assert_snapshot!(said, @"DIR/smcp.db was written by a newer version of SMCP (schema 99, this one knows up to 12); start that version, or restore a backup made before the upgrade");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let world = World::new(Commit::Grouped);
    for _ in 0..200 {
        world.submit(job()).await;
    }
    world
        .sql()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let mut bytes = fs::read(world.path()).unwrap();
    for page in bytes.chunks_mut(4096).skip(20) {
        page[..64].fill(0xAA);
    }
    let said = refusal(|path| fs::write(path, bytes).unwrap());
    assert!(
        said.contains("is damaged") && said.contains("restore the newest backup"),
        "{said}"
    );
}

/// Where writers have a thread of their own, it does so by itself.
#[tokio::test]
async fn who_looks_after_the_file_empties_the_log() {
    let world = World::new(Commit::Inline);
    world.submit(job()).await;
    assert!(world.queue.wal().bytes > 0);
    world.queue.look_after();
    let nothing_wrong = Wal {
        bytes: 0,
        warning: None,
    };
    assert_eq!(world.queue.wal(), nothing_wrong);
    world.submit(job()).await;
}
