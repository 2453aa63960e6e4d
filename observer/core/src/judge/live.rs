//! Judging record after record: what the same values came to before is not worked out again. Keeps the graces, which are counted
//! anew with every record and never answered from memory.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, LazyLock},
};

use super::{
    contract::{Contract, Rule, RuleSet},
    expression::{Doubt, FieldSet, Flow, Reading, Source as _, field::Way},
    grace::{Graces, Used},
    verdict::{self, Occasion, Ruled},
};
use crate::model::{
    fact::{Fact, Facts, FieldId, Kept},
    flow::FlowId,
    names::Verdict,
    time::UnixUs,
    verdict::Judgement,
};

/// Sets of values of which the answers are kept; then all are forgotten.
pub const ANSWERS_MAX: usize = 16_384;

/// The rules in force, and what was found so far.
#[derive(Debug)]
pub struct Judge {
    set: Arc<RuleSet>,
    /// Fields that decide over kept answers, and whether by their value or by being known.
    named: Vec<(FieldId, bool)>,
    /// Moments at which a contract or an exemption begins or ends.
    edges: Vec<UnixUs>,
    answers: HashMap<u64, Answer>,
    graces: Graces,
    nothing: Arc<[Judgement]>,
    /// Times that there was no room for a further answer.
    pub forgotten: u64,
}

/// What one set of values comes to.
#[derive(Debug)]
struct Answer {
    epoch: usize,
    way: Way,
    values: Box<[Kept]>,
    /// Everything, where nothing is left to ask.
    whole: Option<Arc<[Judgement]>>,
    contracts: Vec<(usize, Vec<Step>)>,
}

/// What is known of one rule.
#[derive(Clone, Debug)]
enum Step {
    Done(Judgement),
    /// A violation, unless the grace of this rule has room.
    Grace(usize, Ruled),
    /// The rule rests on what each record has its own of.
    Ask(usize),
}

/// What decides of a field: its value, or that it is known and else why not.
fn deciding(flow: &impl Facts, (field, is_valued): (FieldId, bool)) -> Fact<'_> {
    if is_valued {
        return flow.fact(field);
    }
    // Texts of doubts are no values: they stand for themselves here.
    match reading(flow, field) {
        Ok(()) => Fact::Number(1),
        Err(Doubt::NotSeen) => Fact::Unknown,
        Err(Doubt::Ambiguous) => Fact::Number(2),
        Err(Doubt::Inferred) => Fact::Number(4),
        Err(Doubt::Proxied) => Fact::Number(3),
        Err(Doubt::Word(word)) => Fact::Text(word),
    }
}

fn reading(flow: &impl Facts, field: FieldId) -> Result<(), Doubt> {
    match Flow(flow).read(field) {
        Reading::Known(_) => Ok(()),
        Reading::Doubt(doubt) => Err(doubt),
    }
}

impl Judge {
    #[must_use]
    pub fn new(set: Arc<RuleSet>) -> Self {
        let mut judge = Self {
            set,
            named: Vec::new(),
            edges: Vec::new(),
            answers: HashMap::new(),
            graces: Graces::default(),
            nothing: Arc::default(),
            forgotten: 0,
        };
        judge.prepare();
        judge
    }

    /// Judges by other rules from now on. What is used of a grace stays used, where there is the rule still.
    pub fn replace(&mut self, set: Arc<RuleSet>) {
        self.set = set;
        self.answers.clear();
        self.prepare();
        self.keep_graces();
    }

    /// Goes on with what was used of graces before.
    pub fn resume(&mut self, graces: Graces) {
        self.graces = graces;
        self.keep_graces();
    }

    fn keep_graces(&mut self) {
        let set = &self.set;
        self.graces
            .keep(|contract, rule| set.rule(contract, rule).is_some());
    }

    #[must_use]
    pub const fn graces(&self) -> &Graces {
        &self.graces
    }

    fn prepare(&mut self) {
        let (mut named, mut valued) = (FieldSet::default(), FieldSet::default());
        let mut edges = Vec::new();
        for contract in self.set.contracts() {
            edges.extend([Some(contract.span.from), contract.span.until]);
            // Whether a contract is about a flow is kept even where none of its rules is.
            if let Some(scope) = &contract.scope
                && !is_volatile(scope.fields())
            {
                named = named.and(scope.fields());
                valued = valued.and(scope.valued());
            }
            for rule in &contract.rules {
                if !is_volatile(rule.fields) {
                    named = named.and(rule.fields);
                    valued = valued.and(rule.valued);
                }
                let spans = rule.exemptions.iter().map(|exemption| exemption.span);
                edges.extend(spans.flat_map(|span| [Some(span.from), span.until]));
            }
        }
        // An identity field is in doubt by its confidence, a cloud by provider and path, a front by its cloud, residency flags by
        // the route.
        for field in super::expression::field::DECIDING {
            named.add(field);
            valued.add(field);
        }
        let named = named.iter();
        self.named = named.map(|field| (field, valued.has(field))).collect();
        self.edges = edges.into_iter().flatten().collect();
        self.edges.sort_unstable();
        self.edges.dedup();
    }

    /// What all contracts say of a flow. Flows of which the same is said get the same list.
    pub fn judge(&mut self, flow: &impl Facts, id: FlowId) -> Arc<[Judgement]> {
        let mut graces = std::mem::take(&mut self.graces);
        let judged = self.judge_by(flow, id, |contract, rule, count| {
            graces.count(flow, contract, rule, count)
        });
        self.graces = graces;
        judged
    }

    /// The same, with graces that are kept elsewhere (see [`verdict::judge`]).
    pub fn judge_by(
        &mut self,
        flow: &impl Facts,
        id: FlowId,
        mut used: impl FnMut(&Contract, &Rule, &mut dyn FnMut(&mut Used)) -> bool,
    ) -> Arc<[Judgement]> {
        let Some(occasion) = Occasion::of(flow, id) else {
            return Arc::clone(&self.nothing);
        };
        if self.set.contracts().is_empty() {
            return Arc::clone(&self.nothing);
        }
        let Some(epoch) = self.epoch(&occasion) else {
            return verdict::judge(flow, &occasion, &self.set, used).into();
        };
        let hash = self.hash(flow, epoch);
        let is_known = self.answers.get(&hash).is_some_and(|answer| {
            let same = self.named.iter().zip(&answer.values);
            answer.epoch == epoch
                && answer.way == Way::of(flow)
                && same
                    .into_iter()
                    .all(|(field, value)| deciding(flow, *field) == value.fact())
        });
        if !is_known {
            if self.answers.len() >= ANSWERS_MAX {
                self.answers.clear();
                self.forgotten = self.forgotten.saturating_add(1);
            }
            let answer = self.answer(flow, &occasion, epoch);
            self.answers.insert(hash, answer);
        }
        let Some(answer) = self.answers.get(&hash) else {
            return Arc::clone(&self.nothing);
        };
        match &answer.whole {
            Some(whole) => Arc::clone(whole),
            None => completed(&self.set, answer, &mut used, flow, &occasion).into(),
        }
    }

    /// How many edges are behind an interval; `None` where one is inside it.
    fn epoch(&self, occasion: &Occasion) -> Option<usize> {
        let behind = self.edges.partition_point(|edge| *edge <= occasion.start);
        let next = self.edges.get(behind);
        next.is_none_or(|edge| *edge >= occasion.end)
            .then_some(behind)
    }

    fn hash(&self, flow: &impl Facts, epoch: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        epoch.hash(&mut hasher);
        for field in &self.named {
            deciding(flow, *field).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn answer(&self, facts: &impl Facts, occasion: &Occasion, epoch: usize) -> Answer {
        let flow = Flow(facts);
        let mut contracts = Vec::new();
        for (nth, contract) in self.set.contracts().iter().enumerate() {
            let asks_each = is_volatile_scope(contract);
            if !asks_each && !verdict::is_about(&flow, occasion, contract) {
                continue;
            }
            let mut steps = Vec::new();
            for (place, rule) in contract.rules.iter().enumerate() {
                if asks_each || is_volatile(rule.fields) {
                    steps.push(Step::Ask(place));
                } else if let Some(ruled) = verdict::settled(&flow, occasion, contract, rule) {
                    steps.push(step(contract, rule, place, ruled));
                }
            }
            if steps.is_empty() {
                steps.push(Step::Done(verdict::not_covered(contract)));
            }
            contracts.push((nth, steps));
        }
        let done = contracts
            .iter()
            .flat_map(|(_, steps)| steps)
            .map(|step| match step {
                Step::Done(judgement) => Some(judgement.clone()),
                Step::Grace(..) | Step::Ask(_) => None,
            });
        let whole: Option<Vec<Judgement>> = done.collect();
        Answer {
            epoch,
            way: Way::of(facts),
            values: self
                .named
                .iter()
                .map(|field| deciding(facts, *field).into())
                .collect(),
            whole: whole.map(Into::into),
            contracts,
        }
    }
}

fn step(contract: &Contract, rule: &Rule, place: usize, ruled: Ruled) -> Step {
    match ruled.verdict {
        Verdict::Violation if rule.grace.is_some() => Step::Grace(place, ruled),
        _ => Step::Done(verdict::judgement(contract, rule, ruled)),
    }
}

/// The rest of an answer, by what this record alone has.
fn completed(
    set: &RuleSet,
    answer: &Answer,
    used: &mut impl FnMut(&Contract, &Rule, &mut dyn FnMut(&mut Used)) -> bool,
    facts: &impl Facts,
    occasion: &Occasion,
) -> Vec<Judgement> {
    let flow = Flow(facts);
    let mut judgements = Vec::new();
    for (nth, steps) in &answer.contracts {
        let Some(contract) = set.contracts().get(*nth) else {
            continue;
        };
        if is_volatile_scope(contract) && !verdict::is_about(&flow, occasion, contract) {
            continue;
        }
        let before = judgements.len();
        for step in steps {
            let (place, ruled) = match step {
                Step::Done(judgement) => {
                    judgements.push(judgement.clone());
                    continue;
                }
                Step::Grace(place, ruled) => (*place, Some(ruled.clone())),
                Step::Ask(place) => (*place, None),
            };
            let Some(rule) = contract.rules.get(place) else {
                continue;
            };
            let ruled = ruled.or_else(|| verdict::settled(&flow, occasion, contract, rule));
            if let Some(ruled) = ruled {
                let ruled = verdict::graced(contract, rule, occasion, ruled, &mut |count| {
                    used(contract, rule, count)
                });
                judgements.push(verdict::judgement(contract, rule, ruled));
            }
        }
        if judgements.len() == before {
            judgements.push(verdict::not_covered(contract));
        }
    }
    judgements
}

/// Fields that differ from record to record.
static VOLATILE: LazyLock<FieldSet> = LazyLock::new(|| {
    let mut volatile = FieldSet::default();
    for field in FieldId::all() {
        let is_counted = matches!(
            field.declared().group,
            "counters of this interval" | "totals since the flow's start" | "timing"
        );
        let is_own = matches!(
            field.name(),
            "record"
                | "interval_start"
                | "interval_end"
                | "start_time"
                | "local_port"
                | "translated_port"
                | "outcome"
                | "pid"
        );
        if is_counted || is_own {
            volatile.add(field);
        }
    }
    volatile
});

/// Whether a rule rests on what differs from record to record.
fn is_volatile(fields: FieldSet) -> bool {
    fields.meets(*VOLATILE)
}

fn is_volatile_scope(contract: &Contract) -> bool {
    let scope = contract.scope.as_ref();
    scope.is_some_and(|scope| is_volatile(scope.fields()))
}

#[cfg(test)]
mod tests;
