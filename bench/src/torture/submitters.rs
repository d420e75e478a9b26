//! The callers: each submits one job after the other, as often as it takes for an API to acknowledge it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::invariants::Told;
use super::journal::Journal;
use super::orders::Order;
use crate::sse::Session;

/// Jobs that wait at the most, roughly: so that submits go on as long as jobs run.
const BACKLOG: u64 = 400;
/// How often it is looked whether more can be submitted.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// From a failed submit to the next try.
const RETRY: Duration = Duration::from_millis(20);
/// A submit that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all callers share.
#[derive(Debug)]
pub(super) struct Desk {
    address: SocketAddr,
    journal: Journal,
    orders: Vec<Order>,
    next: AtomicUsize,
    told: Mutex<Told>,
}

/// What an API has acknowledged.
struct Receipt {
    id: String,
    /// It was recorded by an earlier try.
    existing: bool,
}

impl Desk {
    pub(super) fn new(address: SocketAddr, journal: Journal, orders: Vec<Order>) -> Self {
        Self {
            address,
            journal,
            orders,
            next: AtomicUsize::new(0),
            told: Mutex::default(),
        }
    }

    /// Submits orders until there are none.
    pub(super) async fn submit_all(self: Arc<Self>) -> anyhow::Result<()> {
        let mut session = None;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(order) = self.orders.get(number) else {
                return Ok(());
            };
            while number as u64 > self.journal.lines()? / 2 + BACKLOG {
                sleep(LOOK_EVERY).await;
            }
            let mut tries = 0;
            let receipt = loop {
                tries += 1;
                let tried = timeout(PATIENCE, submit(&mut session, self.address, order)).await;
                if let Ok(Ok(receipt)) = tried {
                    break receipt;
                }
                // Its connection may have died with its API, or it may be in an unknown state.
                session = None;
                sleep(RETRY).await;
            };
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.repeated += usize::from(tries > 1);
            told.existing += usize::from(receipt.existing);
            told.acknowledged.insert(receipt.id, order.key.clone());
        }
    }

    /// What callers were told.
    pub(super) fn told(self) -> Told {
        self.told
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn submit(
    session: &mut Option<Session>,
    address: SocketAddr,
    order: &Order,
) -> anyhow::Result<Receipt> {
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::open(address).await?),
    };
    let params = json!({"name": "jobs__submit", "arguments": order.request()});
    let result = session.request("tools/call", &params).await?;
    anyhow::ensure!(result["isError"] != true, "{result}");
    // This transport is from before structured content.
    let text = result["content"][0]["text"].as_str();
    let answer: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text.context("the answer has no text")?)?;
    Ok(Receipt {
        id: answer["id"]
            .as_str()
            .context("the job has no id")?
            .to_owned(),
        existing: answer["existing"] == true,
    })
}
