//! How many files a process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections: databases, logs, and connections that only post.
const OTHERS: u64 = 200;

/// Raises this process's limit as far as the system lets it, and says where that is too little for the event streams of
/// so many sessions.
///
/// The usual limit is 1,024, for the sake of old programs that call `select`. Only the API needs more; what a worker
/// starts should find what is usual.
pub(crate) fn raise(max_sessions: u32) {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            before.current
        }
    };
    let wanted = u64::from(max_sessions) + OTHERS;
    if let Some(limit) = limit.filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "the system lets this process open fewer files than http.max_sessions needs (ulimit -Hn); further \
             connections will have to wait"
        );
    }
}
