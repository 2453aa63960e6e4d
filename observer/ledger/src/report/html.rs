//! A report for people without a terminal: one file that loads nothing, with bars drawn in it.

use std::fmt::{self, Display, Write as _};

use observer_core::model::{money::Money, size};

use super::{
    Amounts, Report,
    table::{commitments, decimals},
    unpriced,
};
use crate::page::{self, Escaped, head};

/// Rows that are drawn and listed; the rest is in one line.
const ROWS_SHOWN: usize = 200;
/// Width of the longest bar.
const BAR_PX: f64 = 320.0;

impl Report {
    /// A whole page.
    #[must_use]
    pub fn html(&self) -> String {
        let decimals = decimals(&self.priced.total.cost);
        let amounts = Amounts::of(&self.priced, decimals);
        let mut page = page::begin("Egress cost estimate");
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<h1>Egress cost estimate: {} {}</h1>",
            amounts.total.fixed(decimals),
            Escaped(&self.priced.currency),
        );
        let _ = writeln!(
            page,
            "<p>By price book {}, tiers filled by all hosts of the records together. An estimate, not a bill.</p>",
            Escaped(&self.priced.version)
        );
        self.rows(&mut page, &amounts, decimals);
        self.lines_of_rates(&mut page, decimals);
        self.commitments(&mut page, decimals);
        page.push_str("<h2>What it covers</h2>\n<ul>\n");
        for (reason, bytes) in unpriced(&self.priced) {
            let _ = writeln!(
                page,
                "<li>unpriced: {} sent, {}",
                size::about(bytes),
                reason.word()
            );
        }
        for line in self.coverage.lines() {
            let _ = writeln!(page, "<li>{}", Escaped(&line));
        }
        page.push_str("</ul>\n</html>\n");
        page
    }

    fn rows(&self, page: &mut String, amounts: &Amounts, decimals: u32) {
        let against = self.against.as_ref();
        let others = against.map(|(name, priced)| (name, Amounts::of(priced, decimals)));
        let mut heads: Vec<(&str, bool)> = self.by.iter().map(|by| (by.as_str(), true)).collect();
        heads.extend([("", true), ("estimate", false)]);
        heads.extend(others.iter().map(|(name, _)| (name.as_str(), false)));
        heads.extend([("out", false), ("in", false), ("unpriced", false)]);
        head(page, "Where it goes", &heads);
        let mut order: Vec<usize> = (0..amounts.rows.len()).collect();
        order.sort_by_key(|nth| std::cmp::Reverse(amounts.rows.get(*nth).copied()));
        let most = amounts.rows.iter().copied().max().unwrap_or_default();
        let other = |nth: usize| {
            let amounts = others.as_ref().map(|(_, amounts)| amounts)?;
            Some(amounts.rows.get(nth).copied().unwrap_or_default())
        };
        for nth in order.iter().copied().take(ROWS_SHOWN) {
            let (Some(row), Some(cost)) = (self.priced.rows.get(nth), amounts.rows.get(nth)) else {
                continue;
            };
            page.push_str("<tr>");
            for value in row.values.iter().take(self.by.len()) {
                let _ = write!(page, "<td class=l>{}", Escaped(value));
            }
            let _ = write!(
                page,
                "<td class=l>{}<td>{}",
                Bar(*cost, most),
                cost.fixed(decimals)
            );
            if let Some(other) = other(nth) {
                let _ = write!(page, "<td>{}", other.fixed(decimals));
            }
            sizes(page, row.bytes, row.unpriced_bytes);
        }
        let rest = order
            .iter()
            .skip(ROWS_SHOWN)
            .filter_map(|nth| amounts.rows.get(*nth));
        let rest: Vec<Money> = rest.copied().collect();
        let columns = self.by.len() + 1;
        if !rest.is_empty() {
            let sum: Money = rest.iter().copied().sum();
            let _ = writeln!(
                page,
                "<tr><td class=l colspan={columns}>{} more rows<td>{}",
                rest.len(),
                sum.fixed(decimals)
            );
        }
        let total = &self.priced.total;
        let _ = write!(
            page,
            "<tfoot><tr><td class=l colspan={columns}>total<td>{}",
            amounts.total.fixed(decimals)
        );
        if let Some((_, others)) = &others {
            let _ = write!(page, "<td>{}", others.total.fixed(decimals));
        }
        sizes(page, total.bytes, total.unpriced_bytes);
        page.push_str("</table>\n");
    }

    fn lines_of_rates(&self, page: &mut String, decimals: u32) {
        let heads = [
            ("month", true),
            ("rate", true),
            ("how well it is known", true),
            ("charged", false),
            ("free", false),
            ("at", false),
            ("hours", false),
            ("estimate", false),
        ];
        head(page, "At which prices", &heads);
        for line in &self.priced.lines {
            let facts = &line.rate;
            let tiers: Vec<String> = line
                .tiers
                .iter()
                .map(|(_, price)| price.to_string())
                .collect();
            let cost: Money = [line.cost, line.hourly].into_iter().sum();
            let _ = writeln!(
                page,
                "<tr><td class=l>{}<td class=l>{} {}<td class=\"l s\">{} {}: {}<td>{}<td>{}<td>{} /{}<td>{}<td>{}",
                line.month,
                Escaped(&facts.id),
                Escaped(line.region.as_deref().unwrap_or_default()),
                facts.status.word(),
                Escaped(facts.as_of.as_deref().unwrap_or_default()),
                Escaped(&facts.source),
                size::about(line.bytes - line.free_bytes),
                size::about(line.free_bytes),
                tiers.join(", "),
                facts.unit.word(),
                line.hours,
                cost.fixed(decimals),
            );
        }
        page.push_str("</table>\n");
    }

    fn commitments(&self, page: &mut String, decimals: u32) {
        let cells = commitments(&self.priced, decimals);
        let [heads, lines @ ..] = &*cells else {
            return;
        };
        if lines.is_empty() {
            return;
        }
        let heads: Vec<(&str, bool)> = heads
            .iter()
            .enumerate()
            .map(|(nth, name)| (name.as_str(), nth < 2))
            .collect();
        head(page, "What was committed to", &heads);
        for line in lines {
            page.push_str("<tr>");
            for (cell, (_, is_left)) in line.iter().zip(&heads) {
                let class = if *is_left { " class=l" } else { "" };
                let _ = write!(page, "<td{class}>{}", Escaped(cell));
            }
            page.push('\n');
        }
        page.push_str("</table>\n");
    }
}

fn sizes(page: &mut String, [sent, received]: [u64; 2], unpriced: u64) {
    let _ = writeln!(
        page,
        "<td>{}<td>{}<td>{}",
        size::about(sent),
        size::about(received),
        size::about(unpriced)
    );
}

/// A bar as long as its part of the longest.
struct Bar(Money, Money);

impl Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(part, most) = self;
        let share = if most.is_zero() {
            0.0
        } else {
            part.to_f64() / most.to_f64()
        };
        write!(
            f,
            "<svg width={BAR_PX} height=12 role=img aria-label=\"{:.1} % of the longest\"><rect width={:.1} height=12 rx=2 \
             fill=\"#3b7dd8\"/></svg>",
            share * 100.0,
            (share * BAR_PX).clamp(0.0, BAR_PX)
        )
    }
}
