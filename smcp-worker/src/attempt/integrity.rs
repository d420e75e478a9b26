//! Whether the plugin of a job is what has been accepted of it, looked at once more just before it is run.

use std::path::Path;

use smcp_common::job::{Claimed, code};
use smcp_common::plugin::{Integrity, Plugin};
use smcp_common::queue::{Catalogue, QueueError};

use super::{Runner, refused, unreadable};
use crate::work::{Ending, persist};

impl Runner {
    /// The end of a job whose plugin must not be run. The files are read again: where a change has not been noticed yet,
    /// or cannot be watched, the catalogue still has the plugin as it was.
    pub(super) async fn quarantined(&self, catalogue: &Catalogue, job: &Claimed) -> Option<Ending> {
        let mut plugins = catalogue.plugins.iter();
        let plugin = plugins.find(|plugin| plugin.name == job.plugin)?;
        if let Some(Integrity::Quarantined { accepted }) = &plugin.integrity {
            return Some(quarantined(plugin, accepted.is_some()));
        }
        match self.accepted(plugin).await {
            Ok(Accepted::AsItIs) => None,
            Ok(Accepted::Otherwise) => Some(quarantined(plugin, true)),
            Ok(Accepted::Never) => Some(quarantined(plugin, false)),
            Err(error) => Some(unreadable(&error)),
        }
    }

    async fn accepted(&self, plugin: &Plugin) -> Result<Accepted, QueueError> {
        let Some(digests) = &self.required else {
            return Ok(Accepted::AsItIs);
        };
        let directory = Path::new(&plugin.directory);
        if !directory.join(&plugin.entry).is_file() {
            // It is gone, which is said in other words.
            return Ok(Accepted::AsItIs);
        }
        let accepted = persist("look at an accepted plugin", async || {
            self.queue.accepted_digest(&plugin.name)
        });
        let Some(accepted) = accepted.await? else {
            return Ok(Accepted::Never);
        };
        let digest = digests.of(plugin).await;
        if digest.is_ok_and(|digest| digest == accepted) {
            return Ok(Accepted::AsItIs);
        }
        if plugin.digest == accepted {
            let by = format!("worker:{}", self.worker);
            persist("request of a scan", || self.queue.want_scan(&by)).await?;
        }
        Ok(Accepted::Otherwise)
    }
}

enum Accepted {
    AsItIs,
    Otherwise,
    Never,
}

fn quarantined(plugin: &Plugin, was_accepted: bool) -> Ending {
    let name = &plugin.name;
    let why = if was_accepted {
        "has changed since it was accepted"
    } else {
        "is new and has not been accepted"
    };
    let message = format!(
        "Plugin {name} {why}, so that it was not run. An operator can look at it and accept it: smcp plugins accept {name}. \
         Then the job can be run again: jobs__retry."
    );
    refused(code::PLUGIN_QUARANTINED, message)
}
