//! `observer contract replay`: recorded flows, judged once more.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;
use clap::Args;
use observer_core::judge::{grace::Graces, live::Judge};
use observer_ledger::{
    judged::{Judged, Told},
    replay::Replay as Compared,
};

use super::{
    super::{
        Output, print,
        report::{Records, tell_unreadable},
    },
    Rules, vocabulary,
};
use crate::contracts;

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    records: Records,
    #[command(flatten)]
    rules: Rules,
    /// Rules of the other side: contracts, or folders of them; the verdicts that the records have where not given.
    #[arg(long, value_name = "FILE|DIRECTORY")]
    against: Vec<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Replay) -> Result<ExitCode> {
    let new = Arc::new(arguments.rules.set()?);
    let old = match &*arguments.against {
        [] => None,
        files => Some(Arc::new(contracts::rules(
            files,
            &vocabulary(&arguments.rules.tables)?,
        )?)),
    };
    let (mut new, mut new_graces) = (Judge::new(new), Graces::default());
    let mut old = old.map(|old| (Judge::new(old), Graces::default()));
    let mut compared = Compared::default();
    let read = arguments.records.each(|record: &Judged| {
        let told = |judge: &mut Judge, graces: &mut Graces| -> Vec<Told> {
            record.judge(judge, graces).iter().map(Told::from).collect()
        };
        let after = told(&mut new, &mut new_graces);
        let before = match &mut old {
            Some((judge, graces)) => Some(told(judge, graces)),
            None => record.verdicts.clone(),
        };
        compared.add(record, before.as_deref(), &after);
    })?;
    match arguments.output {
        Output::Json => print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&compared.json())?
        ))?,
        Output::Table => print(&compared.table())?,
    }
    Ok(tell_unreadable(&read))
}
