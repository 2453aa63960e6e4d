//! A report for people at a terminal.

use std::fmt::Write as _;

use observer_core::{
    model::{money::Money, size, time::UnixUs},
    price::{commitment::Due, statement::Line},
};

use crate::{priced::Priced, table::aligned};

use super::{Amounts, Coverage, Expected, Report, unpriced};

/// Missing hosts that are named.
const MISSING_SHOWN: usize = 10;

impl Report {
    /// Rows by cost, then what each rate came to, then what the report covers.
    #[must_use]
    pub fn table(&self) -> String {
        let decimals = decimals(&self.priced.total.cost);
        let amounts = Amounts::of(&self.priced, decimals);
        let against = self
            .against
            .as_ref()
            .map(|(name, priced)| (name, Amounts::of(priced, decimals)));
        let mut cells = vec![self.heads()];
        let mut order: Vec<usize> = (0..self.priced.rows.len()).collect();
        order.sort_by_key(|nth| std::cmp::Reverse(amounts.rows.get(*nth).copied()));
        for nth in order {
            let (Some(row), Some(cost)) = (self.priced.rows.get(nth), amounts.rows.get(nth)) else {
                continue;
            };
            let mut line: Vec<String> = row.values.iter().map(ToString::to_string).collect();
            line.truncate(self.by.len());
            line.extend(row.bytes.map(size::about));
            line.push(size::about(row.unpriced_bytes));
            line.push(cost.fixed(decimals));
            if let Some((_, against)) = &against {
                let other = against.rows.get(nth).copied().unwrap_or_default();
                line.push(other.fixed(decimals));
            }
            cells.push(line);
        }
        let mut last = vec![String::new(); self.by.len()];
        if let Some(first) = last.first_mut() {
            "total".clone_into(first);
        }
        last.extend(self.priced.total.bytes.map(size::about));
        last.push(size::about(self.priced.total.unpriced_bytes));
        last.push(amounts.total.fixed(decimals));
        last.extend(
            against
                .iter()
                .map(|(_, against)| against.total.fixed(decimals)),
        );
        cells.push(last);
        let mut text = aligned(&cells, self.by.len());
        text.push('\n');
        text.push_str(&aligned(&self.rates(decimals), 4));
        text.push('\n');
        if !self.priced.commitments.is_empty() {
            text.push_str(&aligned(&commitments(&self.priced, decimals), 2));
            text.push('\n');
        }
        self.basis(&mut text);
        text
    }

    fn heads(&self) -> Vec<String> {
        let mut heads = self.by.clone();
        heads.extend(["out", "in", "unpriced"].map(str::to_owned));
        heads.push(format!("estimate {}", self.priced.currency));
        heads.extend(self.against.iter().map(|(name, _)| name.clone()));
        heads
    }

    fn rates(&self, decimals: u32) -> Vec<Vec<String>> {
        let heads = [
            "month", "rate", "status", "as of", "charged", "free", "at", "hours", "estimate",
        ];
        let mut cells = vec![heads.map(str::to_owned).to_vec()];
        for line in &self.priced.lines {
            cells.push(rate(line, decimals));
        }
        cells
    }

    fn basis(&self, text: &mut String) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "An estimate by book {}, tiers filled by all hosts of the records together; not a bill.",
            self.priced.version
        );
        if let Some((name, priced)) = &self.against {
            let _ = writeln!(text, "Column `{name}`: by book {}.", priced.version);
        }
        for (reason, bytes) in unpriced(&self.priced) {
            let _ = writeln!(
                text,
                "unpriced: {} sent, {}",
                size::about(bytes),
                reason.word()
            );
        }
        for line in self.coverage.lines() {
            let _ = writeln!(text, "{line}");
        }
    }
}

/// What is paid for at the least; of what was not used nobody's bytes are the cause, so it is in no row.
pub fn commitments(priced: &Priced, decimals: u32) -> Vec<Vec<String>> {
    let heads = ["month", "commitment", "at least", "used", "not used"];
    let line = |due: &Due| {
        let amounts = [due.committed, due.used, due.shortfall()];
        let words = [due.month.to_string(), due.id.to_string()];
        words
            .into_iter()
            .chain(amounts.map(|amount| amount.fixed(decimals)))
            .collect()
    };
    let heads = heads.map(str::to_owned).to_vec();
    std::iter::once(heads)
        .chain(priced.commitments.iter().map(line))
        .collect()
}

fn rate(line: &Line, decimals: u32) -> Vec<String> {
    let facts = &line.rate;
    let name = match &line.region {
        Some(region) if !facts.id.ends_with(&**region) => format!("{} {region}", facts.id),
        _ => facts.id.to_string(),
    };
    let tiers: Vec<String> = line
        .tiers
        .iter()
        .map(|(_, price)| price.to_string())
        .collect();
    let at = match tiers.is_empty() {
        true => "-".to_owned(),
        false => format!("{} /{}", tiers.join(", "), facts.unit.word()),
    };
    vec![
        line.month.to_string(),
        name,
        facts.status.word().to_owned(),
        facts
            .as_of
            .as_ref()
            .map_or("-", |as_of| as_of.as_str())
            .to_owned(),
        size::about(line.bytes - line.free_bytes),
        size::about(line.free_bytes),
        at,
        line.hours.to_string(),
        [line.cost, line.hourly]
            .into_iter()
            .sum::<Money>()
            .fixed(decimals),
    ]
}

impl Coverage {
    /// What the report covers, a sentence a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.hosts_told()];
        if let Some((first, last)) = self.time {
            lines.push(format!(
                "records from {} to {}",
                rfc3339(first),
                rfc3339(last)
            ));
        }
        let counts = [
            (self.read.records, "records"),
            (
                self.inside,
                "of them crossed no uplink: nobody charges for them",
            ),
            (self.of_other_months, "records of other months left out"),
            (
                self.other_rows,
                "records in the row `other`, for want of room",
            ),
            (
                self.read.cut,
                "files end in a record that was being written: left out",
            ),
            (self.read.unreadable, "lines are no record, left out"),
        ];
        let counts = counts
            .iter()
            .enumerate()
            .filter(|(nth, (count, _))| *nth == 0 || *count > 0);
        lines.extend(counts.map(|(_, (count, what))| format!("{count} {what}")));
        lines.extend(
            self.read
                .first_unreadable
                .iter()
                .map(|first| format!("the first: {first}")),
        );
        lines.push(REMAINDER.to_owned());
        lines
    }

    fn hosts_told(&self) -> String {
        match &self.expected {
            None => format!(
                "{} hosts reported; how many there are was not said",
                self.hosts
            ),
            Some(Expected::Number(number)) => {
                format!("{} of {number} hosts reported", self.hosts)
            }
            Some(Expected::Names { all, missing }) if missing.is_empty() => {
                format!(
                    "{} hosts reported, all {all} that were expected",
                    self.hosts
                )
            }
            Some(Expected::Names { all, missing }) => {
                let names: Vec<&str> = missing
                    .iter()
                    .take(MISSING_SHOWN)
                    .map(|name| &**name)
                    .collect();
                let more = if missing.len() > names.len() {
                    ", ..."
                } else {
                    ""
                };
                format!(
                    "{} hosts reported; of {all} expected {} did not: {}{more}",
                    self.hosts,
                    missing.len(),
                    names.join(", ")
                )
            }
        }
    }
}

/// What no record can say.
pub const REMAINDER: &str =
    "bytes of no flow (remainders) are not in records: see `observer report coverage` on each host";

pub fn rfc3339(at: UnixUs) -> String {
    serde_json::to_string(&at).map_or_else(
        |_| at.0.to_string(),
        |text| text.trim_matches('"').to_owned(),
    )
}

/// Cents, or as many as a small amount has to be seen.
pub fn decimals(total: &Money) -> u32 {
    match total.rounded(0).is_zero() {
        true => 6,
        false => 2,
    }
}
