//! The order in which jobs are served. Pure, so that a place in it can be told without trying.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::POSITION_LIMIT;

/// Highest priority, then the agent that was served least recently, then longest due, then first recorded: the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The job's priority.
    pub priority: Reverse<i64>,
    /// When its agent was served last, as a number that grows; 0 where that does not count.
    pub served: i64,
    /// Since when it is due.
    pub run_at: i64,
    /// Its number, in the order of recording.
    pub num: i64,
}

/// What waits of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the agent was served last; 0 where that does not count.
    served: i64,
    /// Its first job, as far as it competes with those of agents that were served as long ago.
    first: Option<(Reverse<i64>, i64, i64)>,
    /// How many of its jobs have each priority.
    waiting: BTreeMap<Reverse<i64>, u64>,
}

impl Line {
    /// Nothing waits yet.
    pub const fn new(served: i64) -> Self {
        Self {
            served,
            first: None,
            waiting: BTreeMap::new(),
        }
    }

    /// Adds a job.
    pub fn add(&mut self, priority: i64, run_at: i64, num: i64) {
        let job = (Reverse(priority), run_at, num);
        self.first = Some(self.first.map_or(job, |first| first.min(job)));
        *self.waiting.entry(Reverse(priority)).or_default() += 1;
    }

    fn rank(&self) -> Option<Rank> {
        let (_, run_at, num) = self.first?;
        let (priority, _) = self.waiting.first_key_value()?;
        Some(Rank {
            priority: *priority,
            served: self.served,
            run_at,
            num,
        })
    }

    fn serve(&mut self, turn: i64) {
        self.served = turn;
        if let Some(mut best) = self.waiting.first_entry() {
            *best.get_mut() -= 1;
            if *best.get() == 0 {
                best.remove();
            }
        }
    }
}

/// How many jobs go before the last one of `own`, if nothing else comes; counted up to [`POSITION_LIMIT`].
pub fn ahead(own: Line, others: impl IntoIterator<Item = Line>) -> u64 {
    let mut lines = vec![own];
    lines.extend(others);
    let mut turn = lines.iter().map(|line| line.served).max().unwrap_or(0);
    for ahead in 0..POSITION_LIMIT {
        let ranked = lines.iter().enumerate();
        let next = ranked.filter_map(|(n, line)| Some((line.rank()?, n))).min();
        turn += 1;
        match next {
            Some((_, n)) => lines[n].serve(turn),
            None => return ahead,
        }
        if lines[0].waiting.is_empty() {
            return ahead;
        }
    }
    POSITION_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent's jobs, by their priorities and numbers.
    fn line(served: i64, jobs: &[(i64, i64)]) -> Line {
        let mut line = Line::new(served);
        for (priority, num) in jobs {
            line.add(*priority, 0, *num);
        }
        line
    }

    #[test]
    fn agents_take_turns_within_a_priority() {
        let many: Vec<_> = (0..900).map(|num| (0, num)).collect();
        // (own jobs, the last of which it is about; the others'; how many go first)
        let table = [
            (line(0, &[(0, 5)]), vec![], 0),
            (line(0, &[(0, 1), (0, 2), (0, 5)]), vec![], 2),
            (line(0, &[(0, 950)]), vec![line(0, &many)], 1),
            (line(0, &[(0, 950)]), vec![line(1, &many)], 0),
            (line(2, &[(0, 950)]), vec![line(1, &many)], 1),
            (line(0, &[(0, 950), (0, 951)]), vec![line(1, &many)], 2),
            (
                line(0, &[(0, 950)]),
                vec![line(1, &[(1, 1), (1, 2), (0, 3)])],
                2,
            ),
            (line(0, &[(1, 950)]), vec![line(0, &many)], 0),
            (
                line(3, &[(0, 9), (0, 10)]),
                vec![line(1, &many), line(2, &[(0, 3)])],
                4,
            ),
            // Its own better job is a turn, too.
            (line(0, &[(1, 9), (0, 10)]), vec![line(0, &[(0, 1)])], 2),
            (line(0, &many), vec![line(0, &many)], POSITION_LIMIT),
        ];
        for (own, others, expected) in table {
            let told = format!("{:?} and {} others", own.waiting, others.len());
            assert_eq!(ahead(own, others), expected, "{told}");
        }
    }
}
