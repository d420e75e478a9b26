//! Whether a lease has run out. The clock that it was written by may be set, by an hour and in either direction, and it
//! goes on while the machine sleeps and no worker could renew anything; so its word is not enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{LEASE, RENEW_EVERY};
use crate::clock::Timestamp;

/// A lease is lost only if nobody has renewed it for so long under somebody's eyes: its worker has had two occasions.
const UNRENEWED: Duration = RENEW_EVERY.saturating_mul(2);

/// The lease of a running attempt, as it stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct HeldLease {
    pub(super) num: i64,
    pub(super) attempt: u32,
    pub(super) until: Timestamp,
}

/// What one worker has seen of the leases of all, and since when, by a clock that nobody sets.
///
/// Whoever finds that it cannot write should begin with a new one: the others could not write either.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    seen: HashMap<HeldLease, Instant>,
}

impl LeaseWatch {
    /// Looks at all leases; answers those that have run out and have not been renewed for [`UNRENEWED`].
    pub(super) fn look(
        &mut self,
        held: &[HeldLease],
        now: Timestamp,
        at: Instant,
    ) -> Vec<HeldLease> {
        let before = std::mem::take(&mut self.seen);
        let since = |lease: &HeldLease| before.get(lease).copied().unwrap_or(at);
        self.seen = held.iter().map(|lease| (*lease, since(lease))).collect();
        let is_lost = |lease: &&HeldLease| {
            has_run_out(lease.until, now) && at.duration_since(since(lease)) >= UNRENEWED
        };
        held.iter().filter(is_lost).copied().collect()
    }
}

/// No lease reaches further than its length: one that does is from before the clock was set back.
fn has_run_out(until: Timestamp, now: Timestamp) -> bool {
    until < now || until > now.plus(LEASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);
    const MS: Duration = Duration::from_millis(1);

    fn until(until: Timestamp) -> HeldLease {
        HeldLease {
            num: 1,
            attempt: 1,
            until,
        }
    }

    #[test]
    fn a_lease_has_run_out_when_it_lies_in_the_past_or_beyond_its_length() {
        for (until, expected) in [
            (NOW, false),
            (NOW.minus(MS), true),
            (NOW.plus(LEASE), false),
            (NOW.plus(LEASE + MS), true),
        ] {
            assert_eq!(has_run_out(until, NOW), expected, "{until}");
        }
    }

    #[test]
    fn a_lease_is_lost_when_it_has_run_out_and_was_not_renewed_for_long() {
        /// When it is looked at, by the wall clock and by the other one, in seconds; and whether it is lost then.
        type Look = (u64, u64, bool);
        let cases: &[(&str, &[Look])] = &[
            (
                "a silent worker",
                &[(0, 0, false), (1, 10, false), (2, 20, true)],
            ),
            (
                "a lease that holds",
                &[(0, 0, false), (0, 20, false), (0, 3_600, false)],
            ),
            (
                "the clock is set forward",
                &[(0, 0, false), (3_600, 1, false), (3_620, 20, true)],
            ),
            (
                "after its end",
                &[(3_600, 0, false), (3_610, 10, false), (3_619, 19, false)],
            ),
        ];
        let lease = until(NOW);
        for (case, looks) in cases {
            let (mut watch, start) = (LeaseWatch::default(), Instant::now());
            for &(wall, other, lost) in *looks {
                let now = NOW.plus(Duration::from_secs(wall));
                let found = watch.look(&[lease], now, start + Duration::from_secs(other));
                assert_eq!(found == [lease], lost, "{case}: after {other} s");
            }
        }
    }

    #[test]
    fn a_renewed_lease_is_another_one() {
        let (mut watch, start) = (LeaseWatch::default(), Instant::now());
        let mut now = NOW.plus(HOUR);
        for renewal in 0..10 {
            // Written by a clock that is an hour behind.
            let lease = until(now.minus(HOUR));
            let at = start + RENEW_EVERY * renewal;
            assert_eq!(watch.look(&[lease], now, at), []);
            now = now.plus(RENEW_EVERY);
        }
    }

    #[test]
    fn a_lease_that_is_gone_is_forgotten() {
        let (mut watch, start) = (LeaseWatch::default(), Instant::now());
        let lease = until(NOW.minus(MS));
        assert_eq!(watch.look(&[lease], NOW, start), []);
        assert_eq!(watch.look(&[], NOW, start + UNRENEWED), []);
        assert_eq!(watch.seen.len(), 0);
        assert_eq!(watch.look(&[lease], NOW, start + UNRENEWED), []);
    }
}
