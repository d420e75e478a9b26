//! The record of requests that name no agent and are refused. Anybody can make as many of those as he likes, so only
//! some of them are recorded: who has tried what, not how often. The log has each.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use smcp_common::clock::Timestamp;
use smcp_common::job::Entrance;
use smcp_common::queue::Queue;

/// Each address is recorded once in such a time for each reason.
const PERIOD: Duration = Duration::from_mins(1);
/// And so many records are made in that time in all: an address costs nothing either. That is some 10 MB a day at the most.
const MOST: usize = 20;

/// Who has been refused lately.
#[derive(Debug)]
pub struct Strangers {
    queue: Queue,
    lately: Mutex<Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    since: Option<Timestamp>,
    recorded: HashSet<(Option<IpAddr>, &'static str)>,
}

impl Strangers {
    /// Those who come to the API of that queue.
    pub fn new(queue: Queue) -> Self {
        Self {
            queue,
            lately: Mutex::default(),
        }
    }

    /// Records that a request was refused with `code`, unless that has been recorded of its sender just now.
    pub(crate) async fn refused(&self, entrance: Entrance, code: &'static str) {
        let now = self.queue.clock().now();
        let is_new = {
            let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
            lately.is_new(entrance.address, code, now)
        };
        if is_new && let Err(error) = self.queue.record_stranger(entrance, code).await {
            // It is refused all the same.
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a refused request could not be recorded");
        }
    }
}

impl Lately {
    fn is_new(&mut self, address: Option<IpAddr>, code: &'static str, now: Timestamp) -> bool {
        // A clock that was set back must not keep the record silent until it is right again.
        let goes_on = |since: Timestamp| since <= now && now.since(since) < PERIOD;
        if !self.since.is_some_and(goes_on) {
            self.since = Some(now);
            self.recorded.clear();
        }
        self.recorded.len() < MOST && self.recorded.insert((address, code))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_address_is_recorded_once_a_minute_and_so_many_in_all() {
        let mut lately = Lately::default();
        let at =
            |ms: u64| Timestamp::from_millis(1_800_000_000_000).plus(Duration::from_millis(ms));
        let mut is_new = |host: u8, code, ms| {
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
            lately.is_new(Some(address), code, at(ms))
        };
        assert!(is_new(1, "a", 1));
        assert!(!is_new(1, "a", 60_000));
        assert!(is_new(1, "b", 60_000) && is_new(2, "a", 60_000));
        assert!(is_new(1, "a", 60_001), "a minute has passed");
        let recorded = (0..=255).filter(|host| is_new(*host, "c", 60_002));
        assert_eq!(recorded.count(), MOST - 1);
        assert!(is_new(1, "a", 0), "the clock was set back");
    }
}
