//! Threads beside the claim loop, each with a runtime and a connection of its own, so that nothing that keeps the worker
//! busy can hold up what they do.

use std::future::Future;

use smcp_common::clock::SharedClock;
use smcp_common::queue::{Options, Queue};

use crate::WorkerError;

/// Starts a thread that does `work` with a queue of its own; `name` is what the system shows.
///
/// # Errors
/// The database cannot be opened once more, or the system gives no thread.
pub(crate) fn start<W: Future<Output = ()>>(
    name: &'static str,
    options: &Options,
    clock: SharedClock,
    work: impl FnOnce(Queue) -> W + Send + 'static,
) -> Result<(), WorkerError> {
    let files = |source| WorkerError::Files {
        what: "cannot start a thread of the worker for",
        path: options.path.clone(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(files)?;
    let opened = {
        // Its listener is a task of that runtime.
        let _context = runtime.enter();
        Queue::open(options, clock)
    };
    let queue = match opened {
        Ok(queue) => queue,
        Err(error) => {
            runtime.shutdown_background();
            return Err(error.into());
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(work(queue)))
        .map_err(files)?;
    Ok(())
}
