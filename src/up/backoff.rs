//! How long to wait before a process that crashed is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// A process that has lived that long was well; what ended it is news.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Crashes in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    crashes: u32,
}

impl Backoff {
    /// The wait after a crash at the age of `lived`: 0.2 s, doubled with each crash in a row, 10 s at the most.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= WELL_AFTER {
            self.crashes = 0;
        }
        let doubled = 2_u32
            .checked_pow(self.crashes)
            .and_then(|factor| FIRST.checked_mul(factor));
        self.crashes = self.crashes.saturating_add(1);
        doubled.map_or(LONGEST, |wait| wait.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_start_over_after_a_good_life() {
        let mut backoff = Backoff::default();
        let rows = [
            (0, 200),
            (0, 400),
            (1, 800),
            (29_999, 1_600),
            (0, 3_200),
            (0, 6_400),
            (0, 10_000),
            (0, 10_000),
            (30_000, 200),
            (0, 400),
        ];
        for (lived, wait) in rows {
            assert_eq!(
                backoff.after(Duration::from_millis(lived)),
                Duration::from_millis(wait),
                "after {lived} ms"
            );
        }
    }

    #[test]
    fn a_thousand_crashes_do_not_overflow() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..1_000).map(|_| backoff.after(Duration::ZERO)).collect();
        assert_eq!(waits.last(), Some(&LONGEST));
    }
}
