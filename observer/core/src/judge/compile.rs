//! From files to rules: every text read, every name looked up, and what can never be said refused. An error names file, line
//! and column.

mod never;
mod place;
mod when;

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use self::place::Place;
pub use self::when::moment;
use super::{
    contract::{Budget, Contract, Exemption, Grace, Measure, Rule, RuleSet, Span},
    expression::{Expression, FieldSet, Vocabulary},
    spec::{BudgetRow, ContractFile, ExemptionRow, GraceRow, RuleRow},
};
use crate::model::{
    identity::Word,
    money::Money,
    nearest::hint,
    placed::{self, FileError, Placed},
    size,
};

/// Contracts of one set.
pub const CONTRACTS_MAX: usize = 256;
/// Rules of all contracts together.
pub const RULES_MAX: usize = 4_096;
/// Exemptions of one contract.
pub const EXEMPTIONS_MAX: usize = 1_024;
/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Flows that a grace can tolerate: each is kept by its id.
pub const GRACE_FLOWS_MAX: u64 = 1_024;
/// Bytes of an id, which is a label's value and a part of a record.
const ID_BYTES_MAX: usize = 64;

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct ContractText<'t> {
    /// As messages call it.
    pub name: &'t str,
    pub text: &'t str,
}

/// What is wrong with a contract, and where.
pub type ContractError = FileError;

impl RuleSet {
    /// All contracts of these files.
    ///
    /// # Errors
    /// The first thing that is wrong in each file that has something wrong.
    pub fn of(
        texts: &[ContractText<'_>],
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<ContractError>> {
        let (mut contracts, mut errors) = (Vec::new(), Vec::new());
        for text in texts {
            match contract(text, vocabulary) {
                Ok(contract) => contracts.push(contract),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(together(&contracts));
        if !errors.is_empty() {
            return Err(errors);
        }
        contracts.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Self {
            version: version(texts),
            contracts,
        })
    }
}

/// What is wrong with contracts that are right one by one.
fn together(contracts: &[Contract]) -> Option<ContractError> {
    let error = |contract: &Contract, place, what| {
        Some(ContractError {
            file: contract.file_name.clone(),
            place,
            what,
        })
    };
    let mut ids = BTreeSet::new();
    let mut rules = 0;
    for contract in contracts {
        let id = &contract.file.id;
        if !ids.insert(&id.value) {
            let what = format!("`id`: another file has a contract `{}` too", id.value);
            return error(contract, Some((id.line, id.column)), what);
        }
        rules += contract.rules.len();
        if rules > RULES_MAX {
            let what = format!("more than {RULES_MAX} rules in all contracts");
            return error(contract, None, what);
        }
    }
    let last = contracts.get(CONTRACTS_MAX)?;
    error(last, None, format!("more than {CONTRACTS_MAX} contracts"))
}

/// Names and contents of the files, whatever their order.
fn version(texts: &[ContractText<'_>]) -> String {
    let mut hashes: Vec<_> = texts
        .iter()
        .map(|text| Sha256::digest(text.text.as_bytes()))
        .collect();
    hashes.sort_unstable();
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(hash);
    }
    let mut version = String::new();
    for byte in &all.finalize()[..16] {
        // Writing to a string cannot fail.
        let _ = write!(version, "{byte:02x}");
    }
    version
}

fn contract(text: &ContractText<'_>, vocabulary: &Vocabulary) -> Result<Contract, ContractError> {
    let file = read(text)?;
    let reader = Reader { text, vocabulary };
    reader.contract(&file)
}

fn read(text: &ContractText<'_>) -> Result<ContractFile, ContractError> {
    placed::read(text.name, text.text, FILE_BYTES_MAX)
}

struct Reader<'r> {
    text: &'r ContractText<'r>,
    vocabulary: &'r Vocabulary,
}

type Read<T> = Result<T, ContractError>;

impl Reader<'_> {
    fn error<T>(&self, at: &Placed<T>, what: impl Into<String>) -> ContractError {
        ContractError {
            file: self.text.name.to_owned(),
            place: Some((at.line, at.column)),
            what: what.into(),
        }
    }

    fn contract(&self, file: &ContractFile) -> Read<Contract> {
        self.id("id", &file.id)?;
        let zone = match &file.effective.time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(&name.value).map_err(|_| {
                self.error(
                    name,
                    format!(
                        "`time_zone`: no zone is called `{}`; such as `Europe/Berlin`",
                        name.value
                    ),
                )
            })?,
        };
        let effective = &file.effective;
        let span = self.span(
            "effective",
            &effective.from,
            effective.until.as_ref(),
            &zone,
        )?;
        if file.rules.is_empty() && file.budgets.is_empty() {
            return Err(self.error(&file.id, "there is neither a rule nor a budget"));
        }
        if file.parties.is_empty() {
            return Err(self.error(&file.id, "`parties` is empty: name who agreed on it"));
        }
        let scope = file.scope.as_ref().map(|text| {
            let scope = self.condition("scope", text)?;
            self.can_be("scope", text, &[&scope])?;
            Ok(scope)
        });
        let scope = scope.transpose()?;
        let (mut rules, mut budgets) = (BTreeSet::new(), BTreeSet::new());
        for row in &file.rules {
            self.unique(&mut rules, "rule", &row.id)?;
        }
        for row in &file.budgets {
            self.unique(&mut budgets, "budget", &row.id)?;
        }
        let exemptions = self.exemptions(file, span, &zone)?;
        let mut contract = Contract {
            id: Word::from(&*file.id.value),
            title: Word::from(&*file.title),
            file_name: self.text.name.to_owned(),
            span,
            zone,
            scope,
            rules: Vec::new(),
            budgets: Vec::new(),
            file: file.clone(),
        };
        for row in &file.rules {
            contract.rules.push(self.rule(row, &contract, &exemptions)?);
        }
        for row in &file.budgets {
            contract.budgets.push(self.budget(row)?);
        }
        self.tests(&contract)?;
        Ok(contract)
    }

    fn id(&self, key: &str, id: &Placed<String>) -> Read<()> {
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
        let is_id = !id.value.is_empty() && id.value.bytes().all(is_plain);
        match is_id && id.value.len() <= ID_BYTES_MAX {
            true => Ok(()),
            false => Err(self.error(
                id,
                format!("`{key}`: `{}` is no id: letters, digits, `-`, `_` and `.`, up to {ID_BYTES_MAX}", id.value),
            )),
        }
    }

    fn unique(&self, ids: &mut BTreeSet<String>, what: &str, id: &Placed<String>) -> Read<()> {
        self.id(&format!("{what} id"), id)?;
        match ids.insert(id.value.clone()) {
            true => Ok(()),
            false => Err(self.error(id, format!("{what} `{}` is there twice", id.value))),
        }
    }

    fn span(
        &self,
        what: &str,
        from: &Placed<String>,
        until: Option<&Placed<String>>,
        zone: &TimeZone,
    ) -> Read<Span> {
        let read = |key: &str, text: &Placed<String>| {
            moment(&text.value, zone)
                .map_err(|why| self.error(text, format!("`{what}.{key}`: {why}")))
        };
        let span = Span {
            from: read("from", from)?,
            until: until.map(|until| read("until", until)).transpose()?,
        };
        match (span.until, until) {
            (Some(end), Some(text)) if end <= span.from => Err(self.error(
                text,
                format!(
                    "`{what}` can never hold: it ends `{}`, and begins `{}`",
                    text.value, from.value
                ),
            )),
            _ => Ok(span),
        }
    }

    fn condition(&self, key: &str, text: &Placed<String>) -> Read<Expression> {
        Expression::parse(&text.value, self.vocabulary).map_err(|fault| {
            let Place { line, column } = place::of(self.text.text, text, fault.offset);
            ContractError {
                file: self.text.name.to_owned(),
                place: Some((line, column)),
                what: format!("`{key}`: {}", fault.what),
            }
        })
    }

    /// Refuses conditions that no flow meets together.
    fn can_be(&self, key: &str, text: &Placed<String>, all: &[&Expression]) -> Read<()> {
        match never::why(all) {
            None => Ok(()),
            Some(why) => Err(self.error(text, format!("`{key}` can never be: {why}"))),
        }
    }

    fn rule(
        &self,
        row: &RuleRow,
        contract: &Contract,
        exemptions: &[(ExemptionRow, Exemption)],
    ) -> Read<Rule> {
        let when = self.condition("when", &row.when)?;
        let require = self.condition("require", &row.require)?;
        let scoped = contract.scope.iter().chain([&when]);
        self.can_be("when", &row.when, &scoped.collect::<Vec<_>>())?;
        // A rule that requires `false` forbids what it is about, and says so.
        if row.require.value.trim() != "false" {
            self.can_be("require", &row.require, &[&require])?;
        }
        let is_ours = |row_of: &&(ExemptionRow, Exemption)| {
            let mut rules = row_of.0.rules.iter();
            rules.any(|rule| rule.value == row.id.value)
        };
        let exemptions: Vec<Exemption> = exemptions
            .iter()
            .filter(is_ours)
            .map(|(_, exemption)| exemption.clone())
            .collect();
        let conditions = contract.scope.iter().chain([&when, &require]);
        let excepted = exemptions.iter().filter_map(|own| own.when.as_ref());
        let all: Vec<&Expression> = conditions.chain(excepted).collect();
        let fields = all
            .iter()
            .fold(FieldSet::default(), |all, one| all.and(one.fields()));
        let valued = all
            .iter()
            .fold(FieldSet::default(), |all, one| all.and(one.valued()));
        Ok(Rule {
            id: Word::from(&*row.id.value),
            when,
            require,
            severity: row.severity,
            grace: row
                .grace
                .as_ref()
                .map(|grace| self.grace(grace))
                .transpose()?,
            exemptions,
            fields,
            valued,
        })
    }

    fn grace(&self, row: &Placed<GraceRow>) -> Read<Grace> {
        let GraceRow {
            bytes,
            flows,
            time,
            per,
        } = &row.value;
        let wrong = |what: String| self.error(row, format!("`grace`: {what}"));
        let (measure, limit) = match (bytes, flows, time) {
            (Some(bytes), None, None) => (Measure::Bytes, size::parse(bytes).map_err(wrong)?),
            (None, Some(flows), None) => (Measure::Flows, *flows),
            (None, None, Some(time)) => (Measure::Seconds, when::seconds(time).map_err(wrong)?),
            _ => {
                return Err(wrong(
                    "one of `bytes`, `flows` and `time`, and no second one".to_owned(),
                ));
            }
        };
        match (measure, limit) {
            (_, 0) => Err(wrong("tolerates nothing; leave it out".to_owned())),
            (Measure::Flows, more) if more > GRACE_FLOWS_MAX => {
                Err(wrong(format!("more than {GRACE_FLOWS_MAX} flows")))
            }
            _ => Ok(Grace {
                measure,
                limit,
                per: *per,
            }),
        }
    }

    fn exemptions(
        &self,
        file: &ContractFile,
        contract: Span,
        zone: &TimeZone,
    ) -> Read<Vec<(ExemptionRow, Exemption)>> {
        if let Some(row) = file.exemptions.get(EXEMPTIONS_MAX) {
            return Err(self.error(
                &row.ticket,
                format!("more than {EXEMPTIONS_MAX} exemptions"),
            ));
        }
        let exemptions = file.exemptions.iter().map(|row| {
            let from = row.from.as_ref().unwrap_or(&file.effective.from);
            let span = self.span("exemption", from, Some(&row.until), zone)?;
            if contract.until.is_some_and(|until| until <= span.from) {
                let what = "`exemption` can never hold: the contract has ended when it begins";
                return Err(self.error(from, what));
            }
            if row.rules.is_empty() {
                return Err(self.error(
                    &row.ticket,
                    "`rules` is empty: name the rules that it is from",
                ));
            }
            for rule in &row.rules {
                self.is_rule(file, rule)?;
            }
            let when = row.when.as_ref().map(|text| {
                let when = self.condition("when", text)?;
                self.can_be("when", text, &[&when])?;
                Ok(when)
            });
            let exemption = Exemption {
                ticket: Word::from(&*row.ticket.value),
                approver: Word::from(&*row.approver),
                span,
                when: when.transpose()?,
                warn_days: row.warn_days,
            };
            Ok((row.clone(), exemption))
        });
        exemptions.collect()
    }

    fn is_rule(&self, file: &ContractFile, name: &Placed<String>) -> Read<()> {
        let rules = file.rules.iter().map(|rule| &*rule.id.value);
        match rules.clone().any(|rule| rule == name.value) {
            true => Ok(()),
            false => {
                let hint = hint(&name.value, rules);
                Err(self.error(name, format!("no rule is called `{}`; {hint}", name.value)))
            }
        }
    }

    fn budget(&self, row: &BudgetRow) -> Read<Budget> {
        let when = self.condition("when", &row.when)?;
        self.can_be("when", &row.when, &[&when])?;
        let amount = Money::parse(&row.amount.value).filter(|amount| *amount > Money::ZERO);
        let is_currency =
            |text: &str| text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase());
        if !is_currency(&row.currency) {
            return Err(self.error(
                &row.amount,
                format!("`{}` is no currency such as `USD`", row.currency),
            ));
        }
        Ok(Budget {
            id: Word::from(&*row.id.value),
            when,
            amount: amount.ok_or_else(|| {
                self.error(
                    &row.amount,
                    format!(
                        "`{}` is no amount above 0 such as `25.00`",
                        row.amount.value
                    ),
                )
            })?,
            currency: Word::from(&*row.currency),
            per: row.per,
            severity: row.severity,
        })
    }

    /// Tests must be about rules that there are and flows that there can be.
    fn tests(&self, contract: &Contract) -> Read<()> {
        for test in &contract.file.tests {
            super::case::facts(test, contract, Some(self.vocabulary)).map_err(
                |(line, column, what)| ContractError {
                    file: self.text.name.to_owned(),
                    place: Some((line, column)),
                    what,
                },
            )?;
            for rule in test.expect.keys() {
                let name = Placed {
                    value: rule.clone(),
                    line: test.name.line,
                    column: test.name.column,
                    offset: test.name.offset,
                };
                self.is_rule(&contract.file, &name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
