//! Room for series: what is left of the operator's limit, what is kept free for the sets named `other`, and which clouds
//! keep their name in them. Knows no table.

use super::{histogram::HISTOGRAM_SERIES, settings::SERIES_MAX_LEAST};
use crate::model::{
    identity::Word,
    names::{
        ApiFamily, ApiState, Direction, Label, OTHER, Outcome, PathKind, SeriesMetric, Severity,
        UNKNOWN, Verdict,
    },
};

/// Series kept free for everything that is not summed over records: accounts and remainders of up to 8 uplinks, losses,
/// kernel programs, the agent's own process.
pub const OWN_SERIES_MAX: usize = 600;
/// Clouds that keep their name in an `other` set, `unknown` included; later ones are `other` too. With a low limit they
/// are fewer: the `other` sets take at most half of the room.
pub const CLOUDS_MAX: usize = 12;
/// Bytes of a label's value whose text is free (`namespace`, `workload`); longer ones are cut at a character's end.
pub const LABEL_BYTES_MAX: usize = 128;

/// Outcomes that a flow can end with.
const ENDS: usize = Outcome::ALL.len() - 1;

/// What all tables share.
#[derive(Debug)]
pub struct Limits {
    /// Series that may still be given out.
    room: usize,
    clouds: Vec<Word>,
    clouds_max: usize,
    /// Updates that went to `other` for want of room.
    pub overflowed: u64,
    pub words: Words,
}

/// Words that stand in many rows, made once.
#[derive(Debug)]
pub struct Words {
    pub unknown: Word,
    pub other: Word,
    /// Of a contract of which no rule applies.
    pub none: Word,
    directions: [Word; 2],
    outcomes: Box<[Word]>,
    api_families: Box<[Word]>,
    api_states: Box<[Word]>,
    path_kinds: Box<[Word]>,
    switches: [Word; 2],
    verdicts: Box<[Word]>,
    severities: Box<[Word]>,
}

impl Limits {
    /// Room for `series_max` series in all, given the labels that each metric keeps.
    pub fn new<'a>(
        series_max: usize,
        kept: impl IntoIterator<Item = (SeriesMetric, &'a [Label])>,
    ) -> Self {
        let (mut by_cloud, mut fixed) = (0, 0);
        for (metric, labels) in kept {
            let sets = other_sets(metric, labels) * series(metric);
            if labels.contains(&Label::Cloud) {
                by_cloud += sets;
            } else {
                fixed += sets;
            }
        }
        let free = series_max.max(SERIES_MAX_LEAST) - OWN_SERIES_MAX;
        let clouds = (free / 2).saturating_sub(fixed) / by_cloud.max(1);
        let clouds_max = clouds.saturating_sub(1).min(CLOUDS_MAX);
        let reserved = fixed + by_cloud * (clouds_max + 1);
        Self {
            room: free.saturating_sub(reserved),
            clouds: Vec::new(),
            clouds_max,
            overflowed: 0,
            words: Words::new(),
        }
    }

    /// Takes room for so many series, all or none.
    pub fn claim(&mut self, series: usize) -> bool {
        match self.room.checked_sub(series) {
            Some(room) => {
                self.room = room;
                true
            }
            None => false,
        }
    }

    pub fn release(&mut self, series: usize) {
        self.room += series;
    }

    /// The name that a cloud has in an `other` set.
    pub fn cloud(&mut self, cloud: Word) -> Word {
        if self.clouds.contains(&cloud) {
            return cloud;
        }
        if self.clouds.len() >= self.clouds_max {
            return self.words.other.clone();
        }
        self.clouds.push(cloud.clone());
        cloud
    }
}

impl Words {
    fn new() -> Self {
        Self {
            unknown: UNKNOWN.into(),
            other: OTHER.into(),
            none: "none".into(),
            directions: Direction::BOTH.map(|direction| direction.word().into()),
            outcomes: words(Outcome::WORDS),
            api_families: words(ApiFamily::WORDS),
            api_states: words(ApiState::WORDS),
            path_kinds: words(PathKind::WORDS),
            switches: ["false".into(), "true".into()],
            verdicts: words(Verdict::WORDS),
            severities: words(Severity::WORDS),
        }
    }

    pub fn direction(&self, direction: Direction) -> Word {
        self.directions[direction as usize].clone()
    }

    pub fn outcome(&self, outcome: Outcome) -> Word {
        self.nth(&self.outcomes, outcome as usize)
    }

    pub fn api_family(&self, family: ApiFamily) -> Word {
        self.nth(&self.api_families, family as usize)
    }

    pub fn api_state(&self, state: ApiState) -> Word {
        self.nth(&self.api_states, state as usize)
    }

    pub fn path_kind(&self, kind: PathKind) -> Word {
        self.nth(&self.path_kinds, kind as usize)
    }

    pub fn verdict(&self, verdict: Verdict) -> Word {
        self.nth(&self.verdicts, verdict as usize)
    }

    pub fn severity(&self, severity: Severity) -> Word {
        self.nth(&self.severities, severity as usize)
    }

    pub fn switch(&self, is_on: bool) -> Word {
        self.switches[usize::from(is_on)].clone()
    }

    fn nth(&self, words: &[Word], nth: usize) -> Word {
        words.get(nth).unwrap_or(&self.unknown).clone()
    }
}

fn words(words: &[&str]) -> Box<[Word]> {
    words.iter().map(|word| Word::from(*word)).collect()
}

/// Lines of the text that one label set of a metric takes.
pub const fn series(metric: SeriesMetric) -> usize {
    if metric.is_histogram() {
        HISTOGRAM_SERIES
    } else {
        1
    }
}

/// `other` sets of a metric, for one cloud.
fn other_sets(metric: SeriesMetric, labels: &[Label]) -> usize {
    // Of what is sent again, only what goes out is known.
    let one_way = metric == SeriesMetric::RetransmittedBytes;
    let directions = if labels.contains(&Label::Direction) && !one_way {
        2
    } else {
        1
    };
    let outcomes = if labels.contains(&Label::Outcome) {
        ENDS
    } else {
        1
    };
    let verdicts = if labels.contains(&Label::Verdict) {
        Verdict::ALL.len()
    } else {
        1
    };
    directions * outcomes * verdicts
}

#[cfg(test)]
mod tests {
    use super::{super::SeriesSettings, *};

    fn limits(series_max: usize) -> Limits {
        let settings = SeriesSettings::default();
        let kept = settings.metrics().map(|metric| (metric, metric.labels()));
        Limits::new(series_max, kept)
    }

    #[test]
    fn room_for_other_sets_is_never_given_out() {
        // For one cloud: 2 directions of 4 metrics, 1 of two, 5 outcomes, 5 histograms of 13.
        let by_cloud = 10 + 5 + 65;
        for (series_max, clouds_max) in [(0, 1), (1_000, 1), (1_500, 4), (5_000, 12), (50_000, 12)]
        {
            let limits = limits(series_max);
            assert_eq!(limits.clouds_max, clouds_max, "{series_max}");
            let all = limits.room + by_cloud * (clouds_max + 1) + OWN_SERIES_MAX;
            assert_eq!(all, series_max.max(SERIES_MAX_LEAST));
        }
    }

    #[test]
    fn few_clouds_keep_their_name() {
        let mut limits = limits(SERIES_MAX_LEAST);
        let names: Vec<String> = ["aws", "azure", "gcp", "aws", "oci"]
            .map(|cloud| limits.cloud(cloud.into()).to_string())
            .into();
        assert_eq!(names, ["aws", "other", "other", "aws", "other"]);
    }
}
