//! Telling callers that the tools they are listed have changed: their sessions or, from revision 2026-07-28 on, the
//! streams of `subscriptions/listen`.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::service::{Peer, SubscriptionContext};
use sha2::{Digest as _, Sha256};
use smcp_common::queue::{ListState, Queue, QueueError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::listing;
use crate::app::App;
use crate::caller::Caller;

/// The queue is looked at no more often: jobs make news all the time, and lists seldom change.
const PAUSE: Duration = Duration::from_millis(50);

/// Knows what the agents are listed, for all sessions: one task follows the queue, and the sessions of an agent share
/// one look at its list.
#[derive(Debug)]
pub struct Announcer {
    states: watch::Receiver<ListState>,
    listed: Mutex<Listed>,
    _follower: AbortOnDropHandle<()>,
}

/// The lists of agents in one state of the queue.
#[derive(Debug, Default)]
struct Listed {
    state: ListState,
    by_agent: HashMap<String, Fingerprint>,
}

type Fingerprint = [u8; 32];

impl Announcer {
    /// Follows `queue` from now on.
    ///
    /// # Errors
    /// Database errors.
    pub fn start(queue: Queue) -> Result<Self, QueueError> {
        let news = queue.news();
        let (sender, states) = watch::channel(queue.list_state()?);
        Ok(Self {
            states,
            listed: Mutex::default(),
            _follower: AbortOnDropHandle::new(tokio::spawn(follow(queue, news, sender))),
        })
    }

    /// A digest of what the caller is listed; `None` where that cannot be told.
    fn fingerprint(&self, app: &App, caller: &Caller) -> Option<Fingerprint> {
        // Held while the list is made, so that a thousand sessions that wake at once make it once.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let state = *self.states.borrow();
        if listed.state != state {
            let by_agent = HashMap::new();
            *listed = Listed { state, by_agent };
        }
        if let Some(known) = listed.by_agent.get(&caller.agent) {
            return Some(*known);
        }
        let tools = listing::tools(app, caller).ok()?;
        let fingerprint = Sha256::digest(serde_json::to_vec(&tools).ok()?).into();
        listed.by_agent.insert(caller.agent.clone(), fingerprint);
        Some(fingerprint)
    }
}

async fn follow(queue: Queue, mut news: watch::Receiver<u64>, states: watch::Sender<ListState>) {
    while news.changed().await.is_ok() {
        match queue.list_state() {
            Ok(state) => {
                states.send_if_modified(|known| std::mem::replace(known, state) != state);
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "whether the tools have changed cannot be read");
                news.mark_changed();
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells a session of each change, until the answer is dropped.
pub(super) fn to_session(
    app: &Arc<App>,
    caller: &Caller,
    peer: Peer<RoleServer>,
) -> AbortOnDropHandle<()> {
    let mut list = List::now(app, caller);
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            list.changed().await;
            // Boxed: sessions wait for long, and there are many.
            let told = Box::pin(peer.notify_tool_list_changed()).await;
            if told.is_err() {
                return;
            }
        }
    }))
}

/// Tells a subscriber of each change, as long as it listens and this process is not to stop.
pub(super) async fn to_subscriber(
    app: &Arc<App>,
    caller: &Caller,
    subscription: &SubscriptionContext,
) {
    let mut list = List::now(app, caller);
    let is_told = subscription.accepted().tools_list_changed == Some(true);
    loop {
        tokio::select! {
            () = list.changed(), if is_told => {}
            () = subscription.cancelled() => return,
            () = app.drain.cancelled() => return,
        }
        if let Err(error) = subscription.sink().notify_tool_list_changed().await {
            return tracing::debug!(%error, "a subscriber cannot be told");
        }
    }
}

/// The list of tools that a caller knows.
struct List {
    app: Arc<App>,
    caller: Caller,
    states: watch::Receiver<ListState>,
    known: Option<Fingerprint>,
}

impl List {
    fn now(app: &Arc<App>, caller: &Caller) -> Self {
        let mut states = app.announcer.states.clone();
        // Before the look, so that what comes during it is not missed.
        states.mark_unchanged();
        Self {
            known: app.announcer.fingerprint(app, caller),
            app: Arc::clone(app),
            caller: caller.clone(),
            states,
        }
    }

    /// Returns when the list is another one than was known.
    async fn changed(&mut self) {
        while self.states.changed().await.is_ok() {
            let now = self.app.announcer.fingerprint(&self.app, &self.caller);
            // A list that cannot be made may be another one: better once too often.
            if now.is_none() || now != self.known {
                self.known = now;
                return;
            }
        }
        pending::<()>().await;
    }
}
