//! A contract as its YAML has it, each text with the place that it stands at. Says nothing of whether it makes sense.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::{
    names::{Severity, Verdict},
    placed::Placed,
};

/// One file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractFile {
    /// What records, metrics and reports call it.
    pub id: Placed<String>,
    pub title: String,
    /// Who agreed on it.
    pub parties: Vec<String>,
    pub reference: Reference,
    /// Who answers for these rules in your house.
    pub owner: String,
    /// Where to turn to.
    pub contact: String,
    /// What a reader has to know: that it is an example, what it leaves open.
    #[serde(default)]
    pub note: Option<String>,
    pub effective: Effective,
    /// Flows that it is about at all, in CEL; every flow where not given.
    #[serde(default)]
    pub scope: Option<Placed<String>>,
    #[serde(default)]
    pub rules: Vec<RuleRow>,
    #[serde(default)]
    pub exemptions: Vec<ExemptionRow>,
    #[serde(default)]
    pub budgets: Vec<BudgetRow>,
    #[serde(default)]
    pub tests: Vec<TestRow>,
    /// Where what it says was read.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// The agreement itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    pub document: String,
    #[serde(default)]
    pub clause: Option<String>,
    #[serde(default)]
    pub url: Option<String>,
}

/// When it holds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effective {
    /// First moment at which it holds: a day, a time in `time_zone`, or RFC 3339.
    pub from: Placed<String>,
    /// First moment at which it holds no more.
    #[serde(default)]
    pub until: Option<Placed<String>>,
    /// IANA name; UTC where not given.
    #[serde(default)]
    pub time_zone: Option<Placed<String>>,
}

/// One condition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRow {
    pub id: Placed<String>,
    /// Flows that it applies to, in CEL.
    pub when: Placed<String>,
    /// What has to hold for them, in CEL.
    pub require: Placed<String>,
    pub severity: Severity,
    #[serde(default)]
    pub grace: Option<Placed<GraceRow>>,
    /// Why there is such a rule.
    pub rationale: String,
}

/// What is tolerated of each workload; one of the three.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraceRow {
    /// Wire bytes of both directions: `10MB`.
    #[serde(default)]
    pub bytes: Option<String>,
    #[serde(default)]
    pub flows: Option<u64>,
    /// From the first such flow on: `72h`.
    #[serde(default)]
    pub time: Option<String>,
    /// It begins anew; never where not given.
    #[serde(default)]
    pub per: Option<Period>,
}

/// A stretch of the calendar, in the contract's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    Month,
}

/// A dated exception.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExemptionRow {
    /// Where it was granted.
    pub ticket: Placed<String>,
    pub approver: String,
    /// Rules that it is from.
    pub rules: Vec<Placed<String>>,
    /// Flows that are excepted, in CEL; every one where not given.
    #[serde(default)]
    pub when: Option<Placed<String>>,
    /// When the contract begins where not given.
    #[serde(default)]
    pub from: Option<Placed<String>>,
    /// First moment at which it holds no more.
    pub until: Placed<String>,
    /// Days before its end from which on it is said that it lapses.
    #[serde(default = "warn_days")]
    pub warn_days: u32,
    pub reason: String,
}

/// What may be spent. Judged over sums, never as a verdict on a flow.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetRow {
    pub id: Placed<String>,
    /// Flows whose cost counts, in CEL.
    pub when: Placed<String>,
    /// Of the estimate, in `currency`, for each workload and period.
    #[schemars(schema_with = "amount")]
    pub amount: Placed<String>,
    pub currency: String,
    pub per: Period,
    pub severity: Severity,
    pub rationale: String,
}

/// A flow, and what the rules have to say of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRow {
    pub name: Placed<String>,
    /// Fields of the record; those that are not here are not known.
    #[serde(default)]
    pub flow: Placed<Map<String, Value>>,
    /// When it happens; when the contract begins where not given.
    #[serde(default)]
    pub at: Option<Placed<String>>,
    /// Bytes, flows or seconds of the grace that the workload had used before.
    #[serde(default)]
    pub grace_used: u64,
    /// Verdict by rule.
    pub expect: BTreeMap<String, Verdict>,
}

const fn warn_days() -> u32 {
    14
}

/// For editors; what it does not say, such as which fields and values there are, `observer contract check` does.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(ContractFile)
}

/// A decimal number, quoted or not.
fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "number"],
        "pattern": r"^[0-9]+(\.[0-9]{1,12})?$",
        "minimum": 0,
    })
}
