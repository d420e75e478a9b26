//! Numbers: percentiles within a run, and the median of several runs.

use std::time::Duration;

/// What one figure came to in each run.
#[derive(Debug, Default)]
pub(crate) struct Series {
    figures: Vec<(&'static str, Vec<f64>)>,
}

impl Series {
    /// Adds what `figure` came to in one more run.
    pub(crate) fn add(&mut self, figure: &'static str, value: f64) {
        match self.figures.iter_mut().find(|(name, _)| *name == figure) {
            Some((_, values)) => values.push(value),
            None => self.figures.push((figure, vec![value])),
        }
    }

    /// The figures in the order of their first appearance, each as median, minimum and maximum.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = (&'static str, Summary)> {
        self.figures
            .iter()
            .map(|(name, values)| (*name, Summary::of(values)))
    }

    /// How many runs there were.
    pub(crate) fn runs(&self) -> usize {
        self.figures.first().map_or(0, |(_, values)| values.len())
    }
}

/// One figure over all runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        Self {
            median: percentile(&sorted, 50),
            min: percentile(&sorted, 0),
            max: percentile(&sorted, 100),
        }
    }
}

/// The nearest-rank percentile of ascending values; 0 where there are none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The durations in milliseconds, ascending.
pub(crate) fn sorted_ms(durations: impl IntoIterator<Item = Duration>) -> Vec<f64> {
    let mut ms: Vec<_> = durations
        .into_iter()
        .map(|duration| duration.as_secs_f64() * 1e3)
        .collect();
    ms.sort_unstable_by(f64::total_cmp);
    ms
}

/// So many a second.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a benchmark are far below 2^52"
)]
pub(crate) fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the figures are picked, not computed")]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(
            [0, 50, 99, 100].map(|percent| percentile(&values, percent)),
            [1.0, 100.0, 198.0, 200.0]
        );
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn a_series_keeps_median_and_extremes() {
        let mut series = Series::default();
        for value in [3.0, 1.0, 2.0] {
            series.add("ms", value);
        }
        let (median, min, max) = (2.0, 1.0, 3.0);
        assert_eq!(
            series.summaries().collect::<Vec<_>>(),
            [("ms", Summary { median, min, max })]
        );
        assert_eq!(series.runs(), 3);
    }
}
