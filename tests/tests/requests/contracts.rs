//! What contracts say by routes where names leave it open, and by what an operator states.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use observer_tests::scratch::Scratch;
use serde_json::Value;

use super::{AWS_US_EAST_1, Bed, CLOUDFLARE, OPENAI, RUNTIME, own, server, text, with_python};

const MANTLE: &str = "bedrock-mantle.us-east-1.api.aws";
/// The preset of the time before 27 April 2026, without its end: it is judged by the flow's own time, which is now.
const SPLIT: &str = include_str!("../../../observer/contracts/openai-microsoft-2025-10.yaml");
const AMENDED: &str = include_str!("../../../observer/contracts/openai-microsoft-2026-04.yaml");

/// Host, address, request; what the contract of before says and why, and what the amended one says.
const CASES: [(&str, &str, &str, &str, &str, &str); 6] = [
    (
        RUNTIME,
        AWS_US_EAST_1,
        "POST /model/openai.gpt-5.5/converse",
        "violation",
        "api_state=\"stateless\"",
        "compliant",
    ),
    (
        RUNTIME,
        AWS_US_EAST_1,
        "POST /model/us.anthropic.claude-x/converse",
        "not_covered",
        "",
        "not_covered",
    ),
    (
        MANTLE,
        AWS_US_EAST_1,
        "POST /openai/v1/agents/sessions",
        "not_covered",
        "",
        "compliant",
    ),
    // State and vendor are in the body.
    (
        MANTLE,
        AWS_US_EAST_1,
        "POST /openai/v1/chat/completions",
        "undetermined",
        "vendor not known, api_state body_decides",
        "undetermined",
    ),
    // Kept by the provider: the contract is about what is not.
    (
        OPENAI,
        CLOUDFLARE,
        "POST /v1/files",
        "not_covered",
        "",
        "undetermined",
    ),
    (
        OPENAI,
        CLOUDFLARE,
        "POST /v1/embeddings",
        "undetermined",
        "cloud not known",
        "undetermined",
    ),
];

/// What names leave open routes decide.
#[test]
fn routes_decide_contracts() {
    with_python("routes_decide_contracts", || {
        let folder = Scratch::new("observer-route-contracts-")?;
        let bed = Bed::new(&contracts(&folder, "")?)?;
        for (name, address, request, ..) in CASES {
            bed.client(&["talk", &server(address), name, request], "")?;
        }
        let flows = last_records(&own(bed.agent.stop()?));
        ensure!(flows.len() == CASES.len(), "{} flows", flows.len());
        for (flow, (name, _, request, before, why, after)) in flows.iter().zip(CASES) {
            let (found, reason) = verdict(flow, "openai-microsoft-2025-10");
            println!("{name} {request}: {found}: {reason}");
            ensure!(
                found == before && reason.contains(why),
                "{name} {request}: {found}: {reason}"
            );
            let (found, reason) = verdict(flow, "openai-microsoft-2026-04");
            ensure!(
                found == after,
                "{name} {request}, amended: {found}: {reason}"
            );
        }
        Ok(())
    });
}

/// Where a front hides the cloud, it is known if the operator states it, and by that alone.
#[test]
fn a_stated_cloud_decides_contracts() {
    with_python("a_stated_cloud_decides_contracts", || {
        let folder = Scratch::new("observer-stated-cloud-")?;
        for (cloud, expected) in [("azure", "compliant"), ("gcp", "violation")] {
            let stated = Scratch::new("observer-stated-names-")?;
            let names = stated.path().join("names.txt");
            fs::write(&names, format!("hosting api.openai.com cloud={cloud}\n"))?;
            let more = format!("catalog:\n  names: \"{}\"\n", names.display());
            let bed = Bed::new(&contracts(&folder, &more)?)?;
            let request = "POST /v1/embeddings";
            bed.client(&["talk", &server(CLOUDFLARE), OPENAI, request], "")?;
            let flows = last_records(&own(bed.agent.stop()?));
            let flow = flows.first().context("no flow")?;
            let (found, reason) = verdict(flow, "openai-microsoft-2025-10");
            println!("{cloud}: {found}: {reason}; {}", text(flow, "evidence"));
            ensure!(found == expected, "{cloud}: {found}: {reason}");
            ensure!(text(flow, "basis") == "config", "{flow}");
            ensure!(text(flow, "confidence") == "likely", "{flow}");
        }
        Ok(())
    });
}

/// A configuration with both contracts, and more.
pub fn contracts(folder: &Scratch, more: &str) -> Result<String> {
    let split = SPLIT.replace("  until: 2026-04-27\n", "");
    let tests = split.find("tests:\n").context("no tests")?;
    fs::write(
        folder.path().join("split.yaml"),
        split.get(..tests).unwrap_or_default(),
    )?;
    fs::write(folder.path().join("amended.yaml"), AMENDED)?;
    let files = folder.path().display();
    Ok(format!(
        "tick: 500ms\ncontracts:\n  files: [\"{files}\"]\n{more}"
    ))
}

/// The last record of each flow, in the order in which they began.
fn last_records(records: &[Value]) -> Vec<Value> {
    let mut flows: Vec<Value> = Vec::new();
    for record in records {
        match flows
            .iter_mut()
            .find(|flow| flow["flow_id"] == record["flow_id"])
        {
            Some(flow) => *flow = record.clone(),
            None => flows.push(record.clone()),
        }
    }
    // Records of one tick are in no order.
    flows.sort_by_key(|flow| text(flow, "start_time").to_owned());
    flows
}

/// What a contract says of a flow, and why.
pub fn verdict<'f>(flow: &'f Value, contract: &str) -> (&'f str, &'f str) {
    let mut all = flow["verdicts"].as_array().into_iter().flatten();
    let own = all.find(|entry| entry["contract"] == contract);
    own.map_or(("", ""), |own| (text(own, "verdict"), text(own, "reason")))
}
