//! `cargo xtask dashboards`: writes `dashboards/*.json` from code, so that panels share their selectors, units and layout.
//! Whether the expressions find data is asked by the test group `boards`, from a real Prometheus.

mod board;
mod overview;
mod panel;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result};

use self::board::Board;
use crate::workspace;

const FOLDER: &str = "dashboards";

/// Every dashboard; its file is named after its last word.
fn boards() -> [(&'static str, Board); 1] {
    [("overview.json", overview::board())]
}

#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; exit status 1 where a committed file is not what the code makes
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for (file, board) in boards() {
        let path = workspace::root().join(FOLDER).join(file);
        let text = board.text()?;
        let is_current = fs::read_to_string(&path).is_ok_and(|found| found == text);
        match (is_current, args.check) {
            (true, _) => println!("{FOLDER}/{file} is current"),
            (false, true) => {
                println!("{FOLDER}/{file} is stale: run `cargo xtask dashboards`");
                code = ExitCode::FAILURE;
            }
            (false, false) => {
                fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))?;
                println!("{FOLDER}/{file} written");
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn committed_dashboards_are_current() {
        for (file, board) in boards() {
            let path = workspace::root().join(FOLDER).join(file);
            let found = fs::read_to_string(path).unwrap_or_default();
            assert!(
                found == board.text().expect("a dashboard is JSON"),
                "`{FOLDER}/{file}` is stale: run `cargo xtask dashboards`"
            );
        }
    }

    /// What Grafana asks of an imported dashboard, and what a reader asks of a panel.
    #[test]
    fn dashboards_can_be_imported_and_read() {
        let mut uids = BTreeSet::new();
        for (file, board) in boards() {
            let json: Value =
                serde_json::from_str(&board.text().expect("a dashboard is JSON")).expect("JSON");
            assert!(json["id"].is_null(), "{file}: Grafana gives the id");
            let uid = json["uid"].as_str().expect("a uid");
            assert!(
                uid.len() <= 40 && uids.insert(uid.to_owned()),
                "{file}: {uid}"
            );
            let panels = json["panels"].as_array().expect("panels");
            let mut ids = BTreeSet::new();
            let mut cells = BTreeSet::new();
            for panel in panels {
                assert!(ids.insert(panel["id"].as_u64()), "{file}: {panel}");
                let title = panel["title"].as_str().unwrap_or_default();
                let at = |name: &str| panel["gridPos"][name].as_u64().unwrap_or_default();
                assert!(at("x") + at("w") <= 24, "{file}: `{title}` is too wide");
                for x in at("x")..at("x") + at("w") {
                    for y in at("y")..at("y") + at("h") {
                        assert!(cells.insert((x, y)), "{file}: `{title}` lies on another");
                    }
                }
                if panel["type"] == "row" {
                    continue;
                }
                let description = panel["description"].as_str().unwrap_or_default();
                assert!(description.len() > 40, "{file}: `{title}` is not explained");
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
                let targets = panel["targets"].as_array().expect("targets");
                let letters: BTreeSet<&str> =
                    targets.iter().filter_map(|t| t["refId"].as_str()).collect();
                assert!(
                    !targets.is_empty() && letters.len() == targets.len(),
                    "{title}"
                );
            }
        }
    }
}
