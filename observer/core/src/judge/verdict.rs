//! The verdict: what each contract that is in force says of one flow. A function of the flow, the rules and what was used of
//! each grace before; it hands back what is used now, and the reason tells it, so that one record can be judged again alone.

mod reason;

use self::reason::Because;
use super::{
    contract::{Contract, Grace, Rule, RuleSet, Within},
    expression::{Expression, Flow, Source, Truth, field},
    grace::Used,
};
use crate::model::{
    fact::{Fact, Facts},
    flow::FlowId,
    names::Verdict,
    time::UnixUs,
    verdict::Judgement,
};

pub(super) use self::reason::value;
pub use self::reason::{REASON_BYTES_MAX, used_in};

/// When a flow happened, and what it adds to a grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    pub flow: FlowId,
    pub start: UnixUs,
    pub end: UnixUs,
    /// Of both directions.
    pub wire_bytes: u64,
}

/// What a rule says before any grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    NotCovered,
    Compliant,
    Violation,
    /// By the exemption of this number.
    Exempt(usize),
    Undetermined,
}

impl Outcome {
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::NotCovered => Verdict::NotCovered,
            Self::Compliant => Verdict::Compliant,
            Self::Violation => Verdict::Violation,
            Self::Exempt(_) => Verdict::Exempt,
            Self::Undetermined => Verdict::Undetermined,
        }
    }
}

/// A rule's word, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    pub verdict: Verdict,
    pub reason: String,
}

impl Occasion {
    /// As the record itself tells it; `None` where its times are not known.
    pub fn of(flow: &impl Facts, id: FlowId) -> Option<Self> {
        let time = |field| match flow.fact(field) {
            Fact::Time(time) => Some(time),
            _ => None,
        };
        let bytes = |field| match flow.fact(field) {
            Fact::Number(bytes) => bytes,
            _ => 0,
        };
        Some(Self {
            flow: id,
            start: time(field::INTERVAL_START)?,
            end: time(field::INTERVAL_END)?,
            wire_bytes: bytes(field::WIRE_BYTES_EGRESS)
                .saturating_add(bytes(field::WIRE_BYTES_INGRESS)),
        })
    }
}

/// What all contracts say of a flow. `used` is asked for the grace of each rule that the flow violates and is given what is used
/// afterwards; it says `false` where there is no room to keep it.
pub fn judge(
    facts: &impl Facts,
    occasion: &Occasion,
    set: &RuleSet,
    mut used: impl FnMut(&Contract, &Rule, &mut dyn FnMut(&mut Used)) -> bool,
) -> Vec<Judgement> {
    let flow = Flow(facts);
    let mut judgements = Vec::new();
    for contract in set.contracts() {
        if !is_about(&flow, occasion, contract) {
            continue;
        }
        let before = judgements.len();
        for rule in &contract.rules {
            if let Some(ruled) = settled(&flow, occasion, contract, rule) {
                let ruled = graced(contract, rule, occasion, ruled, &mut |count| {
                    used(contract, rule, count)
                });
                judgements.push(judgement(contract, rule, ruled));
            }
        }
        if judgements.len() == before {
            judgements.push(not_covered(contract));
        }
    }
    judgements
}

/// Whether a contract has anything to say of a flow, if only that none of its rules applies.
pub(super) fn is_about(flow: &impl Source, occasion: &Occasion, contract: &Contract) -> bool {
    let within = contract.span.holds(occasion.start, occasion.end);
    within != Within::Outside && truth(contract.scope.as_ref(), flow) != Truth::No
}

/// What one rule says before any grace; `None` where it does not apply.
pub(super) fn settled(
    flow: &impl Source,
    occasion: &Occasion,
    contract: &Contract,
    rule: &Rule,
) -> Option<Ruled> {
    let because = Because {
        flow,
        occasion,
        contract,
        rule,
    };
    let outcome = outcome(flow, occasion, contract, rule);
    let reason = match outcome {
        Outcome::NotCovered => return None,
        Outcome::Compliant | Outcome::Violation => because.values(),
        Outcome::Exempt(by) => because.exempt(by),
        Outcome::Undetermined => because.undetermined(),
    };
    Some(Ruled {
        verdict: outcome.verdict(),
        reason,
    })
}

pub(super) fn outcome(
    flow: &impl Source,
    occasion: &Occasion,
    contract: &Contract,
    rule: &Rule,
) -> Outcome {
    let applies = match truth(contract.scope.as_ref(), flow) {
        Truth::No => Truth::No,
        Truth::Yes => rule.when.truth(flow),
        Truth::Unknown => match rule.when.truth(flow) {
            Truth::No => Truth::No,
            Truth::Unknown | Truth::Yes => Truth::Unknown,
        },
    };
    let required = match applies {
        Truth::No => return Outcome::NotCovered,
        Truth::Unknown => return Outcome::Undetermined,
        Truth::Yes => rule.require.truth(flow),
    };
    let crosses = matches!(
        contract.span.holds(occasion.start, occasion.end),
        Within::Crosses(_)
    );
    match required {
        _ if crosses => Outcome::Undetermined,
        Truth::Unknown => Outcome::Undetermined,
        Truth::Yes => Outcome::Compliant,
        Truth::No => excepted(flow, occasion, rule),
    }
}

/// A violation, unless an exemption holds.
fn excepted(flow: &impl Source, occasion: &Occasion, rule: &Rule) -> Outcome {
    let mut outcome = Outcome::Violation;
    for (nth, exemption) in rule.exemptions.iter().enumerate() {
        let within = exemption.span.holds(occasion.start, occasion.end);
        match (within, truth(exemption.when.as_ref(), flow)) {
            (Within::Outside, _) | (_, Truth::No) => {}
            (Within::Inside, Truth::Yes) => return Outcome::Exempt(nth),
            (Within::Crosses(_), _) | (_, Truth::Unknown) => outcome = Outcome::Undetermined,
        }
    }
    outcome
}

fn truth(condition: Option<&Expression>, flow: &impl Source) -> Truth {
    condition.map_or(Truth::Yes, |condition| condition.truth(flow))
}

/// A rule's word once its grace was counted; `used` says whether there is room to keep it.
pub(super) fn graced(
    contract: &Contract,
    rule: &Rule,
    occasion: &Occasion,
    ruled: Ruled,
    used: &mut dyn FnMut(&mut dyn FnMut(&mut Used)) -> bool,
) -> Ruled {
    let Some(grace) = rule
        .grace
        .as_ref()
        .filter(|_| ruled.verdict == Verdict::Violation)
    else {
        return ruled;
    };
    let mut found = None;
    let is_kept = used(&mut |used| {
        found = Some(in_grace(grace, contract, occasion, &ruled, used));
    });
    found.filter(|_| is_kept).unwrap_or_else(reason::no_room)
}

/// A violation of a rule that tolerates some: what this one adds decides.
pub(super) fn in_grace(
    grace: &Grace,
    contract: &Contract,
    occasion: &Occasion,
    violation: &Ruled,
    used: &mut Used,
) -> Ruled {
    let now = used.with(grace, &contract.zone, occasion);
    let verdict = match now <= grace.limit {
        true => Verdict::InGrace,
        false => Verdict::Violation,
    };
    Ruled {
        verdict,
        reason: reason::grace(now, grace, &violation.reason),
    }
}

pub(super) fn judgement(contract: &Contract, rule: &Rule, ruled: Ruled) -> Judgement {
    Judgement {
        contract: contract.id.clone(),
        rule: Some(rule.id.clone()),
        verdict: ruled.verdict,
        reason: Some(ruled.reason.into()),
        severity: Some(rule.severity),
    }
}

pub(super) fn not_covered(contract: &Contract) -> Judgement {
    Judgement {
        contract: contract.id.clone(),
        rule: None,
        verdict: Verdict::NotCovered,
        reason: None,
        severity: None,
    }
}

#[cfg(test)]
mod tests;
