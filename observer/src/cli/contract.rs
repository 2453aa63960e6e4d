//! `observer contract`: whether contracts are right, what their own tests say, and what they say of flows.

mod explain;
mod replay;

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use observer_core::judge::{
    case::{self, Tested},
    compile::ContractError,
    contract::{Contract as Agreed, RuleSet},
    expression::Vocabulary,
    spec,
};
use observer_core::model::time::UnixUs;
use serde_json::{Value, json};

use super::{Output, catalog::Tables, print};
use crate::contracts;

#[derive(Debug, Subcommand)]
pub enum Contract {
    /// Check that contracts are whole: every field, value and date of every rule.
    #[command(
        after_help = "Example:\n  observer contract check /etc/observer/contracts/\n\nExit status 1 where something is wrong: \
                      file, line, column and what."
    )]
    Check(Check),
    /// Run the tests that contracts have in them, and see whether they would notice if a rule said the opposite.
    #[command(
        after_help = "Each rule needs a case that is compliant, one that is a violation and one that is undetermined.\n\nExample:\n  \
                      observer contract test /etc/observer/contracts/\n\nExit status 1 where a case fails, one is missing, or a \
                      rule said the opposite and no case noticed."
    )]
    Test(Check),
    /// Say of one flow what each part of each rule comes to, and what would have made it compliant.
    #[command(
        after_help = "Example:\n  observer contract explain --rules /etc/observer/contracts/ '{\"provider\": \"openai\", \"cloud\": \
                      \"aws\"}'\n  observer contract explain --rules contract.yaml flows.jsonl --line 12"
    )]
    Explain(explain::Explain),
    /// Say what other rules would have said of recorded flows: which verdicts change, with bytes and money.
    #[command(
        after_help = "Example:\n  observer contract replay --rules new/ --against old/ flows-*.jsonl\n\nWithout `--against` the \
                      verdicts that the records have are the other side."
    )]
    Replay(replay::Replay),
    /// Print the JSON schema of a contract, for editors.
    #[command(
        after_help = "Example:\n  observer contract schema > contract.schema.json\n  # first line of a contract:\n  # \
                      yaml-language-server: $schema=contract.schema.json"
    )]
    Schema,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Contracts, or folders of them.
    #[arg(required = true, value_name = "FILE|DIRECTORY")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    tables: Tables,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Rules to judge by.
#[derive(Debug, Args)]
pub struct Rules {
    /// Contracts, or folders of them; repeatable.
    #[arg(long = "rules", required = true, value_name = "FILE|DIRECTORY")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    tables: Tables,
}

impl Rules {
    pub fn set(&self) -> Result<RuleSet> {
        contracts::rules(&self.files, &vocabulary(&self.tables)?)
    }
}

pub fn run(contract: &Contract) -> Result<ExitCode> {
    match contract {
        Contract::Check(arguments) => check(arguments),
        Contract::Test(arguments) => test(arguments),
        Contract::Explain(arguments) => explain::run(arguments),
        Contract::Replay(arguments) => replay::run(arguments),
        Contract::Schema => {
            let schema = serde_json::to_string_pretty(&spec::schema())?;
            print(&format!("{schema}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The words that the tables of the catalogue know.
///
/// # Errors
/// Where a table cannot be read.
pub fn vocabulary(tables: &Tables) -> Result<Vocabulary> {
    let files = tables.files();
    Ok(contracts::vocabulary(
        &files.addresses()?.table,
        &files.name_tables()?,
    ))
}

/// Everything that is wrong, a line each.
fn refuse(errors: &[ContractError]) -> ExitCode {
    for error in errors {
        eprintln!("observer: {error}");
    }
    ExitCode::FAILURE
}

fn check(arguments: &Check) -> Result<ExitCode> {
    let vocabulary = vocabulary(&arguments.tables)?;
    let set = match contracts::check(&arguments.files, &vocabulary)? {
        Ok(set) => set,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let now = UnixUs(Timestamp::now().as_microsecond());
    let warnings = |contract: &Agreed| {
        let mut warnings = unheard_of(contract, &vocabulary);
        warnings.extend(contracts::dates(contract, now));
        warnings
    };
    match arguments.output {
        Output::Json => {
            let contracts = set.contracts().iter().map(|contract| {
                json!({
                    "id": contract.id,
                    "title": contract.title,
                    "file": contract.file_name,
                    "effective_from": contract.span.from,
                    "effective_until": contract.span.until,
                    "rules": contract.rules.iter().map(|rule| &rule.id).collect::<Vec<_>>(),
                    "exemptions": contract.file.exemptions.len(),
                    "budgets": contract.budgets.iter().map(|budget| &budget.id).collect::<Vec<_>>(),
                    "warnings": warnings(contract),
                })
            });
            let all =
                json!({"rules_version": set.version(), "contracts": contracts.collect::<Vec<_>>()});
            print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        }
        Output::Table => {
            let mut text = String::new();
            for contract in set.contracts() {
                let until = contract.file.effective.until.as_ref();
                writeln!(
                    text,
                    "{}: {} rules, {} exemptions, {} budgets, from {} until {}",
                    contract.id,
                    contract.rules.len(),
                    contract.file.exemptions.len(),
                    contract.budgets.len(),
                    contract.file.effective.from.value,
                    until.map_or("further notice", |until| &*until.value),
                )?;
                for warning in warnings(contract) {
                    writeln!(text, "  note: {warning}")?;
                }
            }
            writeln!(text, "rules_version {}", set.version())?;
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn unheard_of(contract: &Agreed, vocabulary: &Vocabulary) -> Vec<String> {
    let rules = contract.rules.iter();
    let conditions = rules.flat_map(|rule| [&rule.when, &rule.require]);
    let conditions = contract.scope.iter().chain(conditions);
    let mut notes: Vec<String> = conditions
        .flat_map(|condition| condition.unheard_of(vocabulary))
        .map(|(field, word)| format!("nothing in the catalogue has the {} `{word}`", field.name()))
        .collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}

fn test(arguments: &Check) -> Result<ExitCode> {
    let vocabulary = vocabulary(&arguments.tables)?;
    let set = match contracts::check(&arguments.files, &vocabulary)? {
        Ok(set) => set,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let tested = set
        .contracts()
        .iter()
        .map(|contract| (contract, case::test(contract)));
    let tested: Vec<(&Agreed, Tested)> = tested.collect();
    match arguments.output {
        Output::Json => {
            let all: Vec<Value> = tested
                .iter()
                .map(|(contract, tested)| of_tested(contract, tested))
                .collect();
            print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        }
        Output::Table => {
            let mut text = String::new();
            for (contract, tested) in &tested {
                told(&mut text, contract, tested)?;
            }
            print(&text)?;
        }
    }
    Ok(match tested.iter().all(|(_, tested)| tested.is_good()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn told(text: &mut String, contract: &Agreed, tested: &Tested) -> Result<()> {
    let Tested {
        cases,
        failed,
        missing,
        survived,
    } = tested;
    let word = if tested.is_good() { "ok" } else { "NOT ok" };
    writeln!(
        text,
        "{}: {word}, {} of {cases} cases as expected",
        contract.id,
        cases - failed.len()
    )?;
    for failed in failed {
        writeln!(
            text,
            "  {}:{}: `{}`: {} is {}, expected {}: {}",
            contract.file_name,
            failed.line,
            failed.name,
            failed.rule,
            failed.found.word(),
            failed.expected.word(),
            failed.reason
        )?;
    }
    for (rule, verdict) in missing {
        writeln!(text, "  rule {rule}: no case expects {}", verdict.word())?;
    }
    for (rule, change) in survived {
        writeln!(text, "  rule {rule}: no case fails with {change}")?;
    }
    Ok(())
}

fn of_tested(contract: &Agreed, tested: &Tested) -> Value {
    let failed = tested.failed.iter().map(|failed| {
        json!({
            "case": failed.name,
            "line": failed.line,
            "rule": failed.rule,
            "expected": failed.expected,
            "found": failed.found,
            "reason": failed.reason,
        })
    });
    let missing = tested.missing.iter();
    let survived = tested.survived.iter();
    json!({
        "contract": contract.id,
        "file": contract.file_name,
        "ok": tested.is_good(),
        "cases": tested.cases,
        "failed": failed.collect::<Vec<_>>(),
        "missing": missing.map(|(rule, verdict)| json!({"rule": rule, "verdict": verdict})).collect::<Vec<_>>(),
        "survived": survived.map(|(rule, change)| json!({"rule": rule, "change": change})).collect::<Vec<_>>(),
    })
}
