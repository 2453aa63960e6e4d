//! The report: rows of figures with their target, as a table and as JSON. It measures nothing.

use std::fmt::Write as _;

use serde::Serialize;

/// Which side of a target is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub part: &'static str,
    pub what: String,
    pub unit: &'static str,
    /// Absent where only the agent itself is measured.
    pub without: Option<f64>,
    pub with: f64,
    /// The figure that counts: a ratio (median of the pairs), a difference, or `with` again.
    pub result: f64,
    /// Lowest and highest pair of a ratio.
    pub spread: Option<[f64; 2]>,
    pub target: Option<Target>,
}

impl Row {
    /// A figure of the agent itself.
    pub fn alone(
        part: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        value: f64,
    ) -> Self {
        Self {
            part,
            what: what.into(),
            unit,
            without: None,
            with: value,
            result: value,
            spread: None,
            target: None,
        }
    }

    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Whether there are pairs on both sides of the target.
    fn is_undecided(&self) -> bool {
        let (Some(target), Some([lowest, highest])) = (self.target, self.spread) else {
            return false;
        };
        let (Target::AtLeast(bound) | Target::AtMost(bound)) = target;
        lowest < bound && bound < highest
    }

    fn meets(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtLeast(least) => self.result >= least,
            Target::AtMost(most) => self.result <= most,
        })
    }
}

/// Markdown, so that it can be pasted.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| part | what | without | with | result | pairs | target | |\n|---|---|--:|--:|--:|--:|--:|---|\n",
    );
    for row in rows {
        let target = match row.target {
            Some(Target::AtLeast(least)) => format!(">= {least}"),
            Some(Target::AtMost(most)) => format!("<= {most}"),
            None => String::new(),
        };
        let verdict = match row.meets() {
            Some(true) if row.is_undecided() => "met by the median",
            Some(true) => "met",
            Some(false) if row.is_undecided() => "MISSED by the median",
            Some(false) => "MISSED",
            None => "",
        };
        let spread = row
            .spread
            .map(|[lowest, highest]| format!("{lowest:.3} to {highest:.3}"))
            .unwrap_or_default();
        let (part, what, unit) = (row.part, &row.what, row.unit);
        let without = row.without.map(number).unwrap_or_default();
        let (with, result) = (number(row.with), number(row.result));
        let _ = writeln!(
            text,
            "| {part} | {what}, {unit} | {without} | {with} | {result} | {spread} | {target} | {verdict} |"
        );
    }
    text
}

/// The middle one; of an even number the upper middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_or_missed_by_the_result() {
        let row = Row::alone("p", "w", "u", 5.0);
        assert_eq!(row.clone().meets(), None);
        for (target, meets) in [
            (Target::AtLeast(5.0), true),
            (Target::AtLeast(5.1), false),
            (Target::AtMost(5.0), true),
            (Target::AtMost(4.9), false),
        ] {
            assert_eq!(
                row.clone().target(target).meets(),
                Some(meets),
                "{target:?}"
            );
        }
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([1.0, 2.0, 3.0, 9.0]) - 3.0).abs() < 1e-9);
        assert!(median([]).is_nan());
    }
}
