//! Budgets: what each workload spent in each day or month, by the estimates in the records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use observer_core::{
    judge::{
        contract::{Budget, Contract, RuleSet, Within},
        expression::{Flow, Truth},
        spec::Period,
    },
    model::{identity::Word, money::Money, names::Severity, time::UnixUs},
};

use crate::judged::{Judged, OTHERS};

/// Sums of one budget: workloads times days or months; further ones are one row.
const SUMS_MAX: usize = 1_000_000;

/// Sums of all budgets.
#[derive(Debug, Default)]
pub struct Budgets(Vec<Summed>);

#[derive(Debug)]
struct Summed {
    contract: Contract,
    budget: Budget,
    /// By period and workload.
    spent: BTreeMap<(String, String), Money>,
    /// Records of which it is not known whether they count, or that have no price in its currency.
    unknown: u64,
}

/// What was spent of one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    pub contract: Word,
    pub budget: Word,
    pub severity: Severity,
    pub amount: Money,
    pub currency: Word,
    /// Pairs of workload and period that were looked at.
    pub looked_at: usize,
    /// Those that spent more: period, workload, amount; most first.
    pub over: Vec<(String, String, Money)>,
    /// Records of which it is not known whether they count, or that have no price in its currency.
    pub unknown: u64,
}

impl Budgets {
    #[must_use]
    pub fn new(set: &RuleSet) -> Self {
        let contracts = set.contracts().iter();
        let budgets = contracts.flat_map(|contract| {
            let budgets = contract.budgets.iter();
            budgets.map(|budget| Summed {
                contract: contract.clone(),
                budget: budget.clone(),
                spent: BTreeMap::new(),
                unknown: 0,
            })
        });
        Self(budgets.collect())
    }

    pub fn add(&mut self, record: &Judged) {
        for summed in &mut self.0 {
            summed.add(record);
        }
    }

    /// What all budgets came to.
    #[must_use]
    pub fn spent(&self) -> Vec<Spent> {
        self.0.iter().map(Summed::all).collect()
    }
}

impl Summed {
    fn add(&mut self, record: &Judged) {
        let occasion = &record.occasion;
        let within = self.contract.span.holds(occasion.start, occasion.end);
        let flow = Flow(&record.facts);
        let scope = self.contract.scope.as_ref();
        let scope = scope.map_or(Truth::Yes, |scope| scope.truth(&flow));
        match (within, scope, self.budget.when.truth(&flow)) {
            (Within::Outside, _, _) | (_, Truth::No, _) | (_, _, Truth::No) => return,
            (_, Truth::Unknown, _) | (_, _, Truth::Unknown) => {
                self.unknown += 1;
                return;
            }
            (Within::Inside | Within::Crosses(_), Truth::Yes, Truth::Yes) => {}
        }
        match &record.cost {
            Some((cost, currency)) if self.budget.currency == **currency => {
                let key = (self.period(record.at()), record.workload());
                let has_room = self.spent.len() < SUMS_MAX || self.spent.contains_key(&key);
                let key = if has_room {
                    key
                } else {
                    (key.0, OTHERS.to_owned())
                };
                *self.spent.entry(key).or_default() += *cost;
            }
            _ => self.unknown += 1,
        }
    }

    /// The day or month, as the contract's zone has it.
    fn period(&self, at: UnixUs) -> String {
        let Ok(time) = Timestamp::from_microsecond(at.0) else {
            return OTHERS.to_owned();
        };
        let date = self.contract.zone.to_datetime(time).date();
        match self.budget.per {
            Period::Day => date.to_string(),
            Period::Month => format!("{:04}-{:02}", date.year(), date.month()),
        }
    }

    fn all(&self) -> Spent {
        let spent = self.spent.iter();
        let over = spent.filter(|(_, spent)| **spent > self.budget.amount);
        let mut over: Vec<_> = over
            .map(|((period, workload), spent)| (period.clone(), workload.clone(), *spent))
            .collect();
        over.sort_by_key(|(_, _, spent)| std::cmp::Reverse(*spent));
        Spent {
            contract: self.contract.id.clone(),
            budget: self.budget.id.clone(),
            severity: self.budget.severity,
            amount: self.budget.amount,
            currency: self.budget.currency.clone(),
            looked_at: self.spent.len(),
            over,
            unknown: self.unknown,
        }
    }
}
