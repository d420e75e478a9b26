//! The tools that jobs are made of here, read again only when the catalogue has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use smcp_common::plugin::Tool;
use smcp_common::queue::{Queue, QueueError};

/// The tools of one version of the catalogue, by name.
pub(super) type Tools = BTreeMap<String, Tool>;

/// The digests of the plugins' files, by the plugins' names.
pub(super) type Digests = BTreeMap<String, String>;

/// Those that were read last.
#[derive(Debug, Default)]
pub(super) struct KnownTools {
    version: i64,
    tools: Arc<Tools>,
    digests: Arc<Digests>,
}

impl KnownTools {
    /// The tools of the current catalogue.
    ///
    /// # Errors
    /// Database errors.
    pub(super) fn current(&mut self, queue: &Queue) -> Result<Arc<Tools>, QueueError> {
        if self.version != queue.catalogue_version()? {
            let catalogue = queue.catalogue()?;
            let digests = catalogue.plugins.iter();
            let digests = digests.map(|plugin| (plugin.name.clone(), plugin.digest.clone()));
            self.digests = Arc::new(digests.collect());
            let tools = catalogue
                .plugins
                .into_iter()
                .flat_map(|plugin| plugin.tools);
            self.tools = Arc::new(tools.map(|tool| (tool.name.to_string(), tool)).collect());
            self.version = catalogue.version;
        }
        Ok(Arc::clone(&self.tools))
    }

    /// The digests of the files of the plugins that these tools belong to.
    pub(super) fn digests(&self) -> Arc<Digests> {
        Arc::clone(&self.digests)
    }
}
