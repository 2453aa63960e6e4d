//! Records and metrics of a real agent carry what bytes cost, by the book in force: the shipped one, then the operator's.

mod common;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use common::{
    PORT, guarded,
    started::{Bed, eventually},
};
use nix::sys::signal::Signal;
use observer_tests::{agent::Agent, traffic::TcpTalk};
use serde_json::Value;

/// Bytes of the unit that AWS bills by.
const GIB: u128 = 1 << 30;

/// Half off what leaves for the internet, and a price for what the shipped book has none for.
const AGREED: &str = "version: agreed
rates:
- {id: own-vpn, cloud: aws, kind: vpn, price: '0.05', unit: GiB, source: [order 7]}
discounts:
- {rates: [aws-internet-*], percent: '50', source: order 7}
";

/// The far host is a server in Azure, which the near one, in AWS, reaches through a gateway and a tunnel.
fn configure(bed: &Bed, books: &[&Path]) -> Result<String> {
    let far = bed.net.far_address(4, PORT).ip();
    let networks = bed.folder.join("networks.csv");
    fs::write(
        &networks,
        format!("cidr,cloud,region\n{far}/32,azure,eastus\n"),
    )?;
    let file = bed.folder.join("observer.yaml");
    let books: Vec<String> = books
        .iter()
        .map(|book| format!("\"{}\"", book.display()))
        .collect();
    let text = format!(
        "source: {{cloud: aws, region: us-east-1, metadata: off}}\ncatalog: {{networks: \"{}\"}}\npaths:\n  \
         - {{cidr: {far}/32, kind: internet, elements: [nat_gateway, vpn]}}\nprice: {{files: [{}]}}\nmetrics: {{opencost: true}}\n",
        networks.display(),
        books.join(", "),
    );
    fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

/// Records of the far host's flows on the uplink, by the book that priced them.
fn priced<'r>(records: &'r [Value], bed: &Bed, book: &str) -> Vec<&'r Value> {
    let far = bed.net.far_address(4, PORT).ip().to_string();
    let is_ours = |record: &&Value| {
        record["remote_address"] == far.as_str()
            && record["device"] == bed.uplink.as_str()
            && record["price_version"]
                .as_str()
                .is_some_and(|version| version.contains(book))
    };
    records.iter().filter(is_ours).collect()
}

/// A millionth of a millionth, as records round to.
fn pico(text: &Value) -> Result<u128> {
    let text = text.as_str().context("no amount")?;
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    Ok(format!("{whole}{rest:0<12}").parse()?)
}

/// Sums of bytes out, bytes in and estimates; and the words of what is not priced.
fn sums(records: &[&Value]) -> Result<([u128; 3], Value)> {
    let mut sums = [0; 3];
    for record in records {
        for (sum, field) in sums
            .iter_mut()
            .zip(["wire_bytes_egress", "wire_bytes_ingress"])
        {
            *sum += u128::from(record[field].as_u64().context(field)?);
        }
        sums[2] += pico(&record["cost_estimate"])?;
    }
    let reason = records
        .first()
        .map(|record| record["unpriced_reason"].clone());
    Ok((sums, reason.unwrap_or_default()))
}

/// Holds an estimate against prices in hundredths of a cent a GiB; each record is rounded by itself.
fn hold(sums: [u128; 3], of_sent: u128, of_received: u128, records: usize) -> Result<()> {
    let [sent, received, cost] = sums;
    ensure!(
        sent > 100_000 && received > 0,
        "{sent} sent, {received} received"
    );
    let exact = (sent * of_sent + received * of_received) * 100_000_000 / GIB;
    let off = exact.abs_diff(cost);
    ensure!(
        off <= records as u128 * 3,
        "{cost} for {sent} and {received}, not {exact}"
    );
    Ok(())
}

#[test]
fn records_are_priced_by_the_book_in_force() {
    guarded("records_are_priced_by_the_book_in_force", || {
        let bed = Bed::new("prices")?;
        let config = configure(&bed, &[])?;
        let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &config])?;
        let talk = TcpTalk::bulk(100_000, 1_000).plan();
        bed.run(&talk)?;
        eventually("the records", || {
            Ok((!priced(&agent.records()?, &bed, "shipped").is_empty()).then_some(()))
        })?;

        let agreed = bed.folder.join("agreed.yaml");
        fs::write(&agreed, "version: agreed\nrates: [{id: x}]\n")?;
        configure(&bed, &[&agreed])?;
        agent.signal(Signal::SIGHUP)?;
        let refused = eventually("the refusal", || {
            let said = agent.said();
            Ok(said.into_iter().find(|line| line.contains("reload failed")))
        })?;
        ensure!(
            refused.contains("agreed.yaml:2") && refused.contains("stays"),
            "{refused}"
        );
        fs::write(&agreed, AGREED)?;
        agent.signal(Signal::SIGHUP)?;
        eventually("the book", || {
            let said = agent.said();
            Ok(said
                .into_iter()
                .find(|line| line.contains("price book `") && line.contains("agreed")))
        })?;
        bed.run(&talk)?;
        eventually("the records", || {
            Ok((!priced(&agent.records()?, &bed, "agreed").is_empty()).then_some(()))
        })?;
        let metrics = agent.metrics()?;
        let records = agent.stop()?;

        // 0.09 out; a NAT gateway takes 0.045 of both ways. What a tunnel takes is not known.
        let by_shipped = priced(&records, &bed, "shipped-");
        let by_shipped: Vec<&Value> = by_shipped
            .into_iter()
            .filter(|record| {
                !record["price_version"]
                    .as_str()
                    .unwrap_or_default()
                    .contains("agreed")
            })
            .collect();
        let (first, reason) = sums(&by_shipped)?;
        hold(first, 900 + 450, 450, by_shipped.len())?;
        ensure!(reason == "element_no_rate", "{reason}");
        // Half of it, and 0.05 of what goes through the tunnel.
        let by_agreed = priced(&records, &bed, "agreed");
        let (second, reason) = sums(&by_agreed)?;
        hold(second, 450 + 450 + 500, 450, by_agreed.len())?;
        ensure!(reason.is_null(), "{reason}");
        is_in_metrics(&metrics, &first)
    });
}

/// The metric's sum is the records' (those written until it was read), the bytes without a price are the first talk's.
fn is_in_metrics(metrics: &str, first: &[u128; 3]) -> Result<()> {
    let sum = |name: &str, label: &str| -> Result<f64> {
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        lines
            .map(|line| {
                Ok(line
                    .rsplit(' ')
                    .next()
                    .context("no value")?
                    .parse::<f64>()?)
            })
            .sum()
    };
    let cost = sum("observer_egress_cost_estimate_total{", "cloud=\"azure\"")?;
    let unpriced = sum("observer_unpriced_bytes_total{", "element_no_rate")?;
    ensure!(cost * 1e12 > first[2] as f64, "{cost} in the metric");
    ensure!(
        unpriced.to_bits() == (first[0] as f64).to_bits(),
        "{unpriced} unpriced, not {}",
        first[0]
    );
    // What OpenCost asks for, over all pods; none is known here.
    let wire = sum(
        "observer_wire_bytes_total{direction=\"egress\"",
        "path_kind=\"internet\"",
    )?;
    let pods = sum(
        "kubecost_pod_network_egress_bytes_total{",
        "internet=\"true\"",
    )?;
    ensure!(
        pods > 0.0 && pods.to_bits() == wire.to_bits(),
        "{pods} for OpenCost, {wire} in all"
    );
    Ok(())
}
