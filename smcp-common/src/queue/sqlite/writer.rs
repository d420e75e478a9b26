//! Group commit: one thread owns the writing connection, drains its mailbox and commits many commands in one
//! transaction. Where one fails, all are done again with a savepoint each, so that it harms nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::committer::Committer;
use crate::queue::QueueError;
use crate::queue::command::{Command, Tx};

/// Commands in one transaction at most; bounds how long one commit can take.
const BATCH: usize = 256;
/// How often the writer looks after the file.
const MAINTENANCE: Duration = Duration::from_secs(60);

/// The mailbox of the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    mailbox: Option<mpsc::Sender<Box<dyn Pending>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(committer: Committer) -> std::io::Result<Self> {
        let (mailbox, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("queue-writer".into())
            .spawn(move || drain(committer, &inbox))?;
        Ok(Self {
            mailbox: Some(mailbox),
            thread: Some(thread),
        })
    }

    /// Has `command` carried out; returns after the commit.
    pub(super) async fn run<C: Command>(&self, command: C) -> Result<C::Answer, QueueError> {
        let (reply, answer) = oneshot::channel();
        let letter = Letter {
            command,
            result: None,
            reply,
        };
        let mailbox = self.mailbox.as_ref().ok_or(QueueError::Closed)?;
        mailbox
            .send(Box::new(letter))
            .map_err(|_| QueueError::Closed)?;
        answer.await.unwrap_or(Err(QueueError::Closed))
    }
}

impl Drop for Writer {
    /// Carries out what was sent, then ends the thread.
    fn drop(&mut self) {
        self.mailbox = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the queue's writer thread panicked");
        }
    }
}

fn drain(mut committer: Committer, inbox: &mpsc::Receiver<Box<dyn Pending>>) {
    let mut maintained_at = Instant::now();
    loop {
        if maintained_at.elapsed() >= MAINTENANCE {
            committer.look_after();
            maintained_at = Instant::now();
        }
        let first = match inbox.recv_timeout(MAINTENANCE) {
            Ok(letter) => letter,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let mut batch = vec![first];
        batch.extend(inbox.try_iter().take(BATCH - 1));
        let mut committed = committer.commit(|tx| together(tx, &mut batch));
        if batch.len() > 1 && batch.iter().any(|letter| letter.failed()) {
            for letter in &mut batch {
                letter.forget();
            }
            committed = committer.commit(|tx| apart(tx, &mut batch));
        }
        for letter in batch {
            letter.answer(committed.as_ref().err());
        }
    }
}

/// All or none, without the cost of savepoints: commands rarely fail.
fn together(tx: &mut Tx<'_>, batch: &mut [Box<dyn Pending>]) -> Result<(), QueueError> {
    for letter in batch {
        letter.apply(tx);
        if letter.failed() {
            // Undoes them all; whoever waits is told something else.
            return Err(QueueError::Closed);
        }
    }
    Ok(())
}

/// All that can be done, each in a savepoint.
fn apart(tx: &mut Tx<'_>, batch: &mut [Box<dyn Pending>]) -> Result<(), QueueError> {
    for letter in batch {
        let marks = tx.marks;
        tx.connection
            .prepare_cached("SAVEPOINT command")?
            .execute([])?;
        letter.apply(tx);
        if letter.failed() {
            tx.marks = marks;
            tx.connection
                .prepare_cached("ROLLBACK TO command")?
                .execute([])?;
        }
        tx.connection
            .prepare_cached("RELEASE command")?
            .execute([])?;
    }
    Ok(())
}

/// A command with somebody waiting for its answer.
trait Pending: Send {
    fn apply(&mut self, tx: &mut Tx<'_>);
    fn failed(&self) -> bool;
    /// Forgets what came of it, as it has been undone.
    fn forget(&mut self);
    /// Answers; `broken` is why the transaction as a whole was not committed.
    fn answer(self: Box<Self>, broken: Option<&QueueError>);
}

struct Letter<C: Command> {
    command: C,
    result: Option<Result<C::Answer, QueueError>>,
    reply: oneshot::Sender<Result<C::Answer, QueueError>>,
}

impl<C: Command> Pending for Letter<C> {
    fn apply(&mut self, tx: &mut Tx<'_>) {
        // A defect in one command must not take down the thread that everybody's commits depend on.
        let result = catch_unwind(AssertUnwindSafe(|| self.command.apply(tx)));
        self.result = Some(result.unwrap_or(Err(QueueError::Panicked)));
    }

    fn failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn forget(&mut self) {
        self.result = None;
    }

    fn answer(self: Box<Self>, broken: Option<&QueueError>) {
        let result = match (self.result, broken) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(error.clone()),
            (Some(Ok(answer)), None) => Ok(answer),
            (None, None) => Err(QueueError::Closed),
        };
        // The caller may have gone; what is committed stays committed.
        drop(self.reply.send(result));
    }
}
