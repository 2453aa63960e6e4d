//! Requests that nobody reads: said to be so, with what is so as a rule, by which no contract is decided.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use observer_tests::scratch::Scratch;
use serde_json::Value;

use super::{
    AWS_US_EAST_1, Bed, OPENAI, PORT, RUNTIME, TIMEOUT, contracts, number, own, server, text,
    with_python,
};

const JAVA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/Client.java");

/// Java encrypts by itself.
#[test]
fn what_java_asks_is_blind_by_reason() {
    with_python("what_java_asks_is_blind_by_reason", || {
        if Command::new("java").arg("-version").output().is_err() {
            println!("skipped: what_java_asks_is_blind_by_reason: there is no `java`");
            return Ok(());
        }
        let bed = Bed::new("tick: 500ms\n")?;
        let mut command = Command::new("java");
        let port = PORT.to_string();
        command.args([JAVA, AWS_US_EAST_1, &port, RUNTIME, "1.3"]);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let output = bed.net.near.spawn(command)?.output(TIMEOUT)?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        bed.client(
            &[
                "talk",
                &server(AWS_US_EAST_1),
                OPENAI,
                "POST /v1/embeddings 10",
            ],
            "",
        )?;
        let metrics = bed.agent.metrics()?;
        let records = own(bed.agent.stop()?);
        let of = |name: &str| last(&records, name);
        let java = of(RUNTIME)?;
        is_inferred(java, "stateless")?;
        let blind = "observer_blind_bytes_total{reason=\"no_plaintext_probe\"}";
        let line = metrics.lines().find(|line| line.starts_with(blind));
        ensure!(line.is_some_and(|line| !line.ends_with(" 0")), "{line:?}");
        let python = of(OPENAI)?;
        ensure!(python["blind_reason"].is_null(), "{python}");
        ensure!(text(python, "basis") == "route", "{python}");
        Ok(())
    });
}

/// Without probes all is blind; what is inferred decides nothing, and can be switched off.
#[test]
fn what_is_inferred_decides_no_contract() {
    with_python("what_is_inferred_decides_no_contract", || {
        for infers in [true, false] {
            let folder = Scratch::new("observer-inferred-")?;
            let more = format!("plaintext: off\ninference: {infers}\n");
            let bed = Bed::start(&contracts::contracts(&folder, &more)?)?;
            bed.client(
                &[
                    "talk",
                    &server(AWS_US_EAST_1),
                    RUNTIME,
                    "POST /model/openai.gpt-5.5/converse",
                ],
                "",
            )?;
            let records = own(bed.agent.stop()?);
            let flow = last(&records, RUNTIME)?;
            if infers {
                is_inferred(flow, "stateless")?;
            } else {
                ensure!(text(flow, "api_state") == "unknown", "{flow}");
                ensure!(text(flow, "basis") == "server_name", "{flow}");
                ensure!(text(flow, "blind_reason") == "no_plaintext_probe", "{flow}");
            }
            let (found, reason) = contracts::verdict(flow, "openai-microsoft-2025-10");
            println!("inference {infers}: {found}: {reason}");
            ensure!(found == "undetermined", "{found}: {reason}");
            let why = if infers {
                "api_state inferred"
            } else {
                "api_state not known"
            };
            ensure!(reason.contains(why), "{reason}");
        }
        Ok(())
    });
}

fn is_inferred(flow: &Value, state: &str) -> Result<()> {
    ensure!(text(flow, "api_state") == state, "{flow}");
    ensure!(text(flow, "basis") == "inferred", "{flow}");
    ensure!(text(flow, "confidence") == "likely", "{flow}");
    ensure!(text(flow, "blind_reason") == "no_plaintext_probe", "{flow}");
    ensure!(
        flow["method"].is_null() && flow["route"].is_null(),
        "{flow}"
    );
    ensure!(number(flow, "requests") == 0, "{flow}");
    Ok(())
}

/// The last record of the flow to a name.
fn last<'r>(records: &'r [Value], name: &str) -> Result<&'r Value> {
    let mut own = records.iter().rev();
    own.find(|record| record["server_name"] == name)
        .with_context(|| format!("no record of `{name}`"))
}
