//! The report in its forms: a table, JSON, one HTML file.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use observer_core::model::{money::Money, names::Verdict, size, time::UnixUs};
use serde_json::{Map, Value, json};

use super::{Conduct, Count, RuleName, Spent};
use crate::{
    page::{self, Escaped, head},
    report::DECIMALS,
    table::aligned,
};

/// Decimals for people.
const CENTS: u32 = 2;
/// Rows of one list that people are shown.
const ROWS_SHOWN: usize = 50;

/// A list for people: its title, its heads, how many of them are to the left, and its rows.
struct Section {
    title: &'static str,
    heads: &'static [&'static str],
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Conduct {
    /// For people at a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for section in self.sections() {
            let heads = section
                .heads
                .iter()
                .map(|head| (*head).to_owned())
                .collect();
            let shown = section.rows.iter().take(ROWS_SHOWN).cloned();
            let rows: Vec<Vec<String>> = std::iter::once(heads).chain(shown).collect();
            let _ = writeln!(text, "{}\n{}", section.title, aligned(&rows, section.left));
            if let Some(more) = section
                .rows
                .len()
                .checked_sub(ROWS_SHOWN)
                .filter(|more| *more > 0)
            {
                let _ = writeln!(text, "{more} more rows; `--output json` has them all\n");
            }
        }
        for line in self.lines() {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// For people without one: a page that loads nothing.
    #[must_use]
    pub fn html(&self) -> String {
        let mut text = page::begin("Contracts");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<h1>Contracts: {} records in violation</h1>\n<ul>",
            self.of(Verdict::Violation).records
        );
        for line in self.lines() {
            let _ = writeln!(text, "<li>{}", Escaped(&line));
        }
        text.push_str("</ul>\n");
        for section in self.sections() {
            let heads = section.heads.iter().enumerate();
            let heads: Vec<(&str, bool)> = heads
                .map(|(nth, head)| (*head, nth < section.left))
                .collect();
            head(&mut text, section.title, &heads);
            for row in &section.rows {
                text.push_str("<tr>");
                for (nth, cell) in row.iter().enumerate() {
                    let class = if nth < section.left { " class=l" } else { "" };
                    let _ = write!(text, "<td{class}>{}", Escaped(cell));
                }
                text.push('\n');
            }
            text.push_str("</table>\n");
        }
        text.push_str("</html>\n");
        text
    }

    /// Lists that have anything in them.
    fn sections(&self) -> Vec<Section> {
        let all = [
            self.verdicts(),
            self.offences(),
            self.exemptions(),
            self.doubts(),
            self.over_budget(),
            self.versions_in_force(),
        ];
        all.into_iter()
            .filter(|section| !section.rows.is_empty())
            .collect()
    }

    fn verdicts(&self) -> Section {
        let rows = self.rules.iter().map(|(name, sum)| {
            let mut row = name.cells();
            row.extend(
                Verdict::ALL
                    .iter()
                    .map(|verdict| sum.of(*verdict).records.to_string()),
            );
            row.push(size::about(sum.all().wire_bytes));
            row.push(costs(&sum.cost));
            row
        });
        Section {
            title: "Verdicts (records)",
            heads: &[
                "contract",
                "rule",
                "compliant",
                "violation",
                "exempt",
                "in_grace",
                "undetermined",
                "not_covered",
                "bytes",
                "cost of violations",
            ],
            left: 2,
            rows: rows.collect(),
        }
    }

    fn offences(&self) -> Section {
        let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
        for (name, sum) in &self.rules {
            for (workload, offence) in &sum.workloads {
                let (first, last) = offence.seen.time.unwrap_or_default();
                let mut row = name.cells();
                row.extend([
                    workload.clone(),
                    moment(first),
                    moment(last),
                    offence.count.records.to_string(),
                    size::about(offence.count.wire_bytes),
                    costs(&offence.cost),
                ]);
                rows.push((offence.count.wire_bytes, row));
            }
        }
        rows.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        Section {
            title: "Violations",
            heads: &[
                "contract", "rule", "workload", "first", "last", "records", "bytes", "cost",
            ],
            left: 5,
            rows: rows.into_iter().map(|(_, row)| row).collect(),
        }
    }

    fn exemptions(&self) -> Section {
        let rows = self.rules.iter().flat_map(|(name, sum)| {
            sum.exemptions
                .iter()
                .map(move |(ticket, count)| counted(name, ticket, *count))
        });
        Section {
            title: "Exemptions used",
            heads: &["contract", "rule", "ticket", "records", "bytes"],
            left: 3,
            rows: rows.collect(),
        }
    }

    fn doubts(&self) -> Section {
        let rows = self.rules.iter().flat_map(|(name, sum)| {
            let all = sum.all().wire_bytes;
            sum.reasons.iter().map(move |(reason, count)| {
                let mut row = counted(name, reason, *count);
                row.push(share(count.wire_bytes, all));
                row
            })
        });
        Section {
            title: "Undetermined, by what was not known",
            heads: &[
                "contract",
                "rule",
                "not known",
                "records",
                "bytes",
                "of the rule's bytes",
            ],
            left: 3,
            rows: rows.collect(),
        }
    }

    fn over_budget(&self) -> Section {
        let rows = self.budgets.spent().into_iter().flat_map(|spent| {
            let Spent {
                contract,
                budget,
                amount,
                currency,
                over,
                ..
            } = spent;
            over.into_iter().map(move |(period, workload, cost)| {
                vec![
                    contract.to_string(),
                    budget.to_string(),
                    period,
                    workload,
                    cost.fixed(CENTS),
                    amount.fixed(CENTS),
                    currency.to_string(),
                ]
            })
        });
        Section {
            title: "Over budget (estimates)",
            heads: &[
                "contract", "budget", "period", "workload", "spent", "allowed", "currency",
            ],
            left: 4,
            rows: rows.collect(),
        }
    }

    fn versions_in_force(&self) -> Section {
        let rows = self.versions.iter().map(|(version, seen)| {
            let (first, last) = seen.time.unwrap_or_default();
            vec![
                version.clone(),
                moment(first),
                moment(last),
                seen.records.to_string(),
            ]
        });
        Section {
            title: "Rules in force",
            heads: &["rules_version", "first", "last", "records"],
            left: 3,
            rows: rows.collect(),
        }
    }

    /// What it comes to, and how much of the traffic it is about.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let coverage = &self.coverage;
        let all = coverage
            .judged
            .and(coverage.about_nothing)
            .and(coverage.by_nobody);
        let mut lines = Vec::new();
        let violations = self.of(Verdict::Violation);
        let looked = share(coverage.judged.wire_bytes, all.wire_bytes);
        match (coverage.judged.records, violations.records) {
            (0, _) => lines.push(
                "Nobody looked: no record was judged by a contract that is about it.".to_owned(),
            ),
            (_, 0) => lines.push(format!(
                "No violation in what was looked at, which is {looked} of the bytes."
            )),
            (_, records) => lines.push(format!(
                "{records} records of {} are violations; {looked} of the bytes were looked at.",
                size::about(violations.wire_bytes)
            )),
        }
        let undetermined = self.of(Verdict::Undetermined);
        let judgements = self.rules.values().map(|sum| sum.all().wire_bytes);
        let judgements = judgements.fold(0, u64::saturating_add);
        lines.push(format!(
            "Undetermined: {} of what rules said, by bytes.",
            share(undetermined.wire_bytes, judgements)
        ));
        lines.push(format!(
            "Looked at {} records; {} that no contract is about; {} that nobody judged ({}), of {} of {} hosts.",
            coverage.judged.records,
            coverage.about_nothing.records,
            coverage.by_nobody.records,
            size::about(coverage.by_nobody.wire_bytes),
            coverage.hosts_by_nobody.len(),
            coverage.hosts.len(),
        ));
        for spent in self.budgets.spent() {
            lines.push(format!(
                "Budget {} of {}: {} of {} sums are over {} {}; {} records are not known to count or have no price.",
                spent.budget,
                spent.contract,
                spent.over.len(),
                spent.looked_at,
                spent.amount.fixed(CENTS),
                spent.currency,
                spent.unknown
            ));
        }
        if let Some((first, last)) = coverage.time {
            lines.push(format!(
                "Records end from {} to {}.",
                moment(first),
                moment(last)
            ));
        }
        if coverage.outside > 0 {
            lines.push(format!(
                "{} records are outside the period.",
                coverage.outside
            ));
        }
        lines
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rules = self.rules.iter().map(|(name, sum)| {
            let verdicts = Verdict::ALL.iter();
            let verdicts = verdicts.map(|verdict| (verdict.word().to_owned(), json!(sum.of(*verdict))));
            let workloads = sum.workloads.iter().map(|(workload, offence)| {
                let (first, last) = offence.seen.time.unwrap_or_default();
                json!({
                    "workload": workload, "count": offence.count, "cost_estimates": amounts(&offence.cost),
                    "first_seen": first, "last_seen": last,
                })
            });
            json!({
                "contract": name.contract,
                "rule": name.rule,
                "verdicts": verdicts.collect::<Map<_, _>>(),
                "violation_cost_estimates": amounts(&sum.cost),
                "violations": workloads.collect::<Vec<_>>(),
                "exemptions": sum.exemptions,
                "undetermined": sum.reasons,
            })
        });
        let versions = self.versions.iter().map(|(version, seen)| {
            let (first, last) = seen.time.unwrap_or_default();
            json!({"rules_version": version, "records": seen.records, "first_seen": first, "last_seen": last})
        });
        let coverage = &self.coverage;
        json!({
            "rules": rules.collect::<Vec<_>>(),
            "versions": versions.collect::<Vec<_>>(),
            "budgets": self.budgets.spent().iter().map(of_budget).collect::<Vec<_>>(),
            "coverage": {
                "judged": coverage.judged,
                "about_nothing": coverage.about_nothing,
                "by_nobody": coverage.by_nobody,
                "hosts": coverage.hosts.len(),
                "hosts_by_nobody": coverage.hosts_by_nobody,
                "first_seen": coverage.time.map(|(first, _)| first),
                "last_seen": coverage.time.map(|(_, last)| last),
                "outside": coverage.outside,
            },
        })
    }
}

impl RuleName {
    fn cells(&self) -> Vec<String> {
        let rule = self.rule.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.contract.clone(), rule]
    }
}

fn of_budget(spent: &Spent) -> Value {
    let over = spent.over.iter().map(|(period, workload, cost)| {
        json!({"period": period, "workload": workload, "cost_estimate": cost.text(DECIMALS)})
    });
    json!({
        "contract": spent.contract,
        "budget": spent.budget,
        "severity": spent.severity,
        "amount": spent.amount.text(DECIMALS),
        "currency": spent.currency,
        "looked_at": spent.looked_at,
        "over": over.collect::<Vec<_>>(),
        "unknown_records": spent.unknown,
    })
}

fn counted(name: &RuleName, what: &str, count: Count) -> Vec<String> {
    let mut row = name.cells();
    row.extend([
        what.to_owned(),
        count.records.to_string(),
        size::about(count.wire_bytes),
    ]);
    row
}

fn costs(costs: &BTreeMap<String, Money>) -> String {
    let costs = costs.iter();
    let costs = costs.map(|(currency, cost)| format!("{} {currency}", cost.fixed(CENTS)));
    costs.collect::<Vec<_>>().join(" + ")
}

fn amounts(costs: &BTreeMap<String, Money>) -> Map<String, Value> {
    let costs = costs.iter();
    costs
        .map(|(currency, cost)| (currency.clone(), cost.text(DECIMALS).into()))
        .collect()
}

fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => {
            let permille = u128::from(part) * 1_000 / u128::from(whole);
            format!("{}.{} %", permille / 10, permille % 10)
        }
    }
}

fn moment(time: UnixUs) -> String {
    let seconds = Timestamp::from_second(time.0.div_euclid(1_000_000));
    seconds.map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
