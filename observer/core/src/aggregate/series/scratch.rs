//! What the records of one tick said, by the identity, the workload and the verdicts that they share. A record costs one
//! look-up by their addresses; words are looked at once a pair, when the tick is folded.

use std::{collections::HashMap, sync::Arc};

use super::histogram::Histogram;
use crate::model::{
    cost::CostPlan,
    counters::Counters,
    flow::{Answer, Timing},
    identity::{Identity, Word},
    money::Money,
    names::{Outcome, SeriesMetric},
    verdict::Judgement,
    workload::Workload,
};

/// Pairs of identity and workload between two folds; the scratch is folded before there are more. So many fit into a hash
/// table of 2,048 places, of half a megabyte.
pub const SCRATCH_MAX: usize = 1_792;

/// The metrics of times, in the order in which a tally keeps them.
pub const TIMES: [SeriesMetric; 5] = [
    SeriesMetric::ConnectSeconds,
    SeriesMetric::RttSeconds,
    SeriesMetric::FirstByteSeconds,
    SeriesMetric::LastByteSeconds,
    SeriesMetric::ChunkGapSeconds,
];

/// What one record adds.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    pub identity: &'a Arc<Identity>,
    pub workload: &'a Arc<Workload>,
    pub counters: &'a Counters,
    /// What is charged for it; `None` where nothing is priced.
    pub cost: Option<&'a CostPlan>,
    /// What contracts say of it; `None` where nobody judges.
    pub verdicts: Option<&'a Arc<[Judgement]>>,
    /// Requests that began.
    pub requests: u64,
    /// Where the flow got its outcome with this record.
    pub ended: Option<Outcome>,
    /// Times that no earlier record of the flow had.
    pub fresh: Timing,
    /// Answers that are over, by request.
    pub answers: &'a [Answer],
}

/// Sums of the records of one pair of which the same is said.
#[derive(Debug)]
pub struct Tally {
    pub identity: Arc<Identity>,
    pub workload: Arc<Workload>,
    pub verdicts: Option<Arc<[Judgement]>>,
    pub counters: Counters,
    /// Currency, and the estimate by direction; `None` where nothing was priced.
    pub cost: Option<(Word, [Money; 2])>,
    pub requests: u64,
    /// By outcome, in the order of [`Outcome::ALL`].
    pub flows: [u64; Outcome::ALL.len()],
    /// In the order of [`TIMES`].
    pub times: [Option<Box<Histogram>>; TIMES.len()],
}

impl Tally {
    /// In the order of [`TIMES`].
    fn observe(&mut self, times: [Option<u32>; TIMES.len()]) {
        for (histogram, us) in self.times.iter_mut().zip(times) {
            if let Some(us) = us {
                histogram.get_or_insert_default().observe(us);
            }
        }
    }
}

/// The tallies since the last fold. Each holds its identity and workload, so that no address is used twice meanwhile.
#[derive(Debug, Default)]
pub struct Scratch(HashMap<(usize, usize, usize), Tally>);

impl Scratch {
    /// Adds one record; says whether the scratch is full and has to be folded.
    pub fn add(&mut self, recorded: &Recorded<'_>) -> bool {
        let key = (
            Arc::as_ptr(recorded.identity).addr(),
            Arc::as_ptr(recorded.workload).addr(),
            recorded
                .verdicts
                .map_or(0, |verdicts| Arc::as_ptr(verdicts).cast::<()>().addr()),
        );
        let tally = self.0.entry(key).or_insert_with(|| Tally {
            identity: Arc::clone(recorded.identity),
            workload: Arc::clone(recorded.workload),
            verdicts: recorded.verdicts.map(Arc::clone),
            counters: Counters::default(),
            cost: None,
            requests: 0,
            flows: [0; Outcome::ALL.len()],
            times: [const { None }; TIMES.len()],
        });
        tally.counters = tally.counters.plus(recorded.counters);
        tally.requests = tally.requests.saturating_add(recorded.requests);
        if let Some(plan) = recorded.cost.filter(|plan| !plan.parts.is_empty()) {
            let costs = plan.cost_by_direction(recorded.counters);
            let (_, sums) = tally
                .cost
                .get_or_insert_with(|| (plan.currency.clone(), [Money::ZERO; 2]));
            for (sum, cost) in sums.iter_mut().zip(costs) {
                *sum += cost;
            }
        }
        if let Some(flows) = recorded
            .ended
            .and_then(|outcome| tally.flows.get_mut(outcome as usize))
        {
            *flows = flows.saturating_add(1);
        }
        let Timing {
            connect_us, rtt_us, ..
        } = recorded.fresh;
        tally.observe([connect_us, rtt_us, None, None, None]);
        let fresh = [recorded.fresh.answer(), recorded.fresh.before];
        for answer in fresh.iter().chain(recorded.answers) {
            let Answer {
                first_byte_us,
                last_byte_us,
                chunk_gap_us,
            } = *answer;
            tally.observe([None, None, first_byte_us, last_byte_us, chunk_gap_us]);
        }
        self.0.len() >= SCRATCH_MAX
    }

    /// Hands the tallies out and is empty afterwards; its room stays.
    pub fn drain(&mut self) -> impl Iterator<Item = Tally> {
        self.0.drain().map(|(_, tally)| tally)
    }
}
