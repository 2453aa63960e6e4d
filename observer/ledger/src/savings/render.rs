//! Savings as people and programs read them.

use std::fmt::Write as _;

use observer_core::model::{money::Money, size};
use serde_json::{Value, json};

use super::Saving;
use crate::{priced::Priced, report::DECIMALS};

/// Decimals for people.
const CENTS: u32 = 2;

/// The first `shown` of `savings`, each with its arithmetic.
#[must_use]
pub fn table(now: &Priced, savings: &[Saving], shown: usize) -> String {
    let mut text = String::new();
    let currency = &now.currency;
    // Writing to a string cannot fail.
    for (nth, saving) in savings.iter().take(shown).enumerate() {
        let [sent, received] = saving.bytes.map(size::about);
        let _ = writeln!(
            text,
            "{}. {} {currency} less: {}",
            nth + 1,
            saving.saved().fixed(CENTS),
            saving.what
        );
        let _ = writeln!(text, "   {}: {sent} out, {received} in", saving.way.told());
        for (rate, before, after) in &saving.rates {
            let _ = writeln!(
                text,
                "   {rate}: {} -> {}",
                before.fixed(CENTS),
                after.fixed(CENTS)
            );
        }
        let _ = writeln!(
            text,
            "   all: {} -> {}",
            saving.before.fixed(CENTS),
            saving.after.fixed(CENTS)
        );
    }
    if savings.is_empty() {
        text.push_str("Nothing that the price book knows of would cost less.\n");
    }
    let more = savings.len().saturating_sub(shown);
    if more > 0 {
        let _ = writeln!(text, "{more} more save less.");
    }
    let _ = writeln!(
        text,
        "Each is priced alone, with the whole month's tiers, by book {}; together they save less than their sum. What is \
         charged by the hour is in it where the book's `counts` say how many there are. Estimates, not a bill.",
        now.version
    );
    text
}

/// All of them.
#[must_use]
pub fn json(now: &Priced, savings: &[Saving]) -> Value {
    let amount = |money: Money| money.text(DECIMALS);
    let saving = |saving: &Saving| {
        let rates = saving.rates.iter().map(|(rate, before, after)| {
            json!({"rate": rate, "before": amount(*before), "after": amount(*after)})
        });
        let [sent, received] = saving.bytes;
        json!({
            "what": saving.what,
            "way": saving.way.told(),
            "wire_bytes_egress": sent,
            "wire_bytes_ingress": received,
            "saved": amount(saving.saved()),
            "before": amount(saving.before),
            "after": amount(saving.after),
            "rates": rates.collect::<Vec<_>>(),
        })
    };
    json!({
        "report": "savings",
        "currency": now.currency,
        "price_version": now.version,
        "savings": savings.iter().map(saving).collect::<Vec<_>>(),
    })
}
