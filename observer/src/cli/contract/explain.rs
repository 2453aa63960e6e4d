//! `observer contract explain`: one flow under the glass.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead as _, BufReader},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use observer_core::{
    judge::{
        explain::{Explained, Part, explain},
        expression::Truth,
        verdict::Occasion,
    },
    model::{fact::FlowFacts, flow::FlowId, names::Verdict},
};
use serde_json::{Map, Value};

use super::{
    super::{Output, print},
    Rules,
};

#[derive(Debug, Args)]
pub struct Explain {
    /// A flow as a JSON object of the record's fields (those that are not there are not known), a file of records, or `-`.
    #[arg(value_name = "FLOW|FILE|-")]
    flow: String,
    /// Which record of the file.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    line: usize,
    /// When it happens, where it does not say: RFC 3339; now where not given.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    rules: Rules,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Explain) -> Result<ExitCode> {
    let set = arguments.rules.set()?;
    let mut record = record(arguments)?;
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let end = match record.get("interval_end") {
        None | Some(Value::Null) => Value::from(now.to_string()),
        Some(end) => end.clone(),
    };
    for (field, value) in [("interval_start", end.clone()), ("interval_end", end)] {
        let known = record.get(field).is_some_and(|value| !value.is_null());
        if !known {
            record.insert(field.to_owned(), value);
        }
    }
    let facts = FlowFacts::of_record(&record);
    let facts = facts.map_err(|why| anyhow::anyhow!("read the flow: {why}"))?;
    unknown_fields(&record)?;
    let id = record
        .get("flow_id")
        .and_then(Value::as_str)
        .and_then(FlowId::parse);
    let occasion = Occasion::of(&facts, id.unwrap_or(FlowId([0; 16])));
    let occasion = occasion.context("read the flow: its times are not known")?;
    let explained = explain(&facts, &occasion, &set);
    match arguments.output {
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&explained)?))?,
        Output::Table => {
            let mut text = String::new();
            for rule in &explained {
                told(&mut text, rule)?;
            }
            if explained.is_empty() {
                text.push_str("No contract is in force at the time of this flow.\n");
            }
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A slip of the pen would look like a field that is not known.
fn unknown_fields(record: &Map<String, Value>) -> Result<()> {
    use observer_core::model::{fact::FieldId, nearest::hint};
    let names: Vec<&str> = FieldId::all().map(FieldId::name).collect();
    match record.keys().find(|key| !names.contains(&&***key)) {
        None => Ok(()),
        Some(key) => bail!(
            "read the flow: no field is called `{key}`; {}",
            hint(key, names.iter().copied())
        ),
    }
}

fn record(arguments: &Explain) -> Result<Map<String, Value>> {
    let text = arguments.flow.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).context("read the flow as a JSON object");
    }
    let reader: Box<dyn io::BufRead> = match text {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(BufReader::new(
            File::open(path).with_context(|| format!("read `{path}`"))?,
        )),
    };
    let place = arguments
        .line
        .checked_sub(1)
        .context("`--line` counts from 1")?;
    let line = reader.lines().nth(place);
    let line = line.with_context(|| format!("`{text}` has no line {}", arguments.line))?;
    let line = line.with_context(|| format!("read `{text}`"))?;
    serde_json::from_str(&line).with_context(|| format!("read line {} of `{text}`", arguments.line))
}

fn told(text: &mut String, explained: &Explained) -> Result<()> {
    let Explained {
        contract,
        rule,
        verdict,
        reason,
        ..
    } = explained;
    writeln!(text, "{contract} / {rule}: {}", verdict.word())?;
    if let Some(reason) = reason {
        writeln!(text, "  {reason}")?;
    }
    let conditions = [("when", &explained.when), ("require", &explained.require)];
    for (name, part) in explained
        .scope
        .iter()
        .map(|scope| ("scope", scope))
        .chain(conditions)
    {
        writeln!(text, "  {name}: {}", word(part.truth))?;
        tree(text, part, 4)?;
    }
    for (way, wanted) in [
        ("compliant", Verdict::Compliant),
        ("not covered", Verdict::NotCovered),
    ] {
        let changes = explained
            .changes
            .iter()
            .filter(|change| change.verdict == wanted);
        let changes: Vec<&str> = changes.map(|change| &*change.value).collect();
        if !changes.is_empty() {
            writeln!(text, "  would be {way} with {}", changes.join(" or "))?;
        }
    }
    text.push('\n');
    Ok(())
}

fn tree(text: &mut String, part: &Part, indent: usize) -> Result<()> {
    let values = match &*part.values {
        [] => String::new(),
        values => format!("    [{}]", values.join(", ")),
    };
    writeln!(
        text,
        "{:indent$}{:7}  {}{values}",
        "",
        word(part.truth),
        part.text
    )?;
    for part in &part.parts {
        tree(text, part, indent + 2)?;
    }
    Ok(())
}

const fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::No => "no",
        Truth::Unknown => "unknown",
        Truth::Yes => "yes",
    }
}
