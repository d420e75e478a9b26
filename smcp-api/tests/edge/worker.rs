//! A worker made of the queue alone: it says and does what a test wants.

use std::sync::Arc;

use serde_json::{Value, json};
use smcp_api::app::App;
use smcp_common::job::{JobId, News, Outcome};
use smcp_common::plugin::Plugin;
use smcp_common::queue::{Finish, Hold, Queue, Work};

/// The tool that it offers; any number of its calls may run at once.
pub(crate) const TOOL: &str = "fake__work";

const WORKER: &str = "fake";

/// A worker that holds whatever it has been given.
pub(crate) struct Worker {
    queue: Queue,
}

impl Worker {
    /// Registers it, and has its tool offered.
    pub(crate) async fn start(app: &Arc<App>) -> Self {
        let queue = app.queue.clone();
        queue
            .register_worker(WORKER, "here", "0", false, None)
            .await
            .unwrap();
        let scan = queue.want_scan(WORKER).await.unwrap();
        assert_eq!(queue.take_scan(WORKER).await.unwrap(), Some(scan));
        let mut plugin = Plugin::found("fake", "/nowhere");
        plugin.tools.push(
            serde_json::from_value(json!({
                "name": TOOL, "plugin": "fake", "command": "work", "description": "Works.",
                "parameters": [], "open": true, "annotations": {}, "effect": "once",
                "lane": "parallel", "output": "text",
            }))
            .unwrap(),
        );
        let plugins = vec![plugin];
        queue
            .finish_scan(WORKER, scan, plugins, Vec::new())
            .await
            .unwrap();
        Self { queue }
    }

    /// Waits for a job, and takes it.
    pub(crate) async fn take(&self) -> Hold {
        let mut news = self.queue.news();
        loop {
            news.mark_unchanged();
            match self.queue.claim(WORKER).await.unwrap() {
                Work::Job(job) => {
                    return Hold {
                        job: job.id,
                        attempt: job.attempt,
                        worker: WORKER.to_owned(),
                    };
                }
                Work::None { .. } => news.changed().await.unwrap(),
            }
        }
    }

    /// Reports steps of progress, each with a message.
    pub(crate) async fn report(
        &self,
        hold: &Hold,
        steps: impl Iterator<Item = usize>,
        message: &str,
    ) {
        let progress = |step| News::Progress(json!({"progress": step, "message": message}));
        self.queue
            .append(hold, steps.map(progress).collect())
            .await
            .unwrap();
    }

    /// Ends a job, with what it prints.
    pub(crate) async fn finish(&self, hold: Hold, output: &str) {
        let finish = Finish {
            hold,
            outcome: Outcome::Succeeded,
            output: output.into(),
            printed_bytes: None,
            confinement: None,
        };
        self.queue.finish(finish, false).await.unwrap();
    }

    /// The state of a job, in words.
    pub(crate) fn state(&self, job: &JobId) -> Value {
        json!(self.queue.job(job).unwrap().unwrap().state)
    }
}
