//! How answers go on: each one's times are with the kind of its request.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{AWS_US_EAST_1, Bed, OPENAI, PLAIN_PORT, PORT, number, text, with_python};

/// Answers that come in pieces and others by turns on one connection.
#[test]
fn times_of_answers_are_their_requests() {
    with_python("times_of_answers_are_their_requests", || {
        for port in [PORT, PLAIN_PORT] {
            times_of_answers(port)?;
        }
        Ok(())
    });
}

/// The server lets 300 ms pass behind its header, and then 40 ms behind each of ten pieces.
fn times_of_answers(port: u16) -> Result<()> {
    const PACED: &str = "POST /v1/chat/completions?paced 100";
    const WHOLE: &str = "POST /v1/embeddings 100";
    let bed = Bed::new("tick: 200ms\n")?;
    let place = format!("{AWS_US_EAST_1}:{port}");
    bed.client(
        &["talk", &place, OPENAI, PACED, WHOLE, PACED, WHOLE, PACED],
        "",
    )?;
    let records = bed.agent.stop()?;
    let of = |route: &str, field: &str| -> Vec<u64> {
        let own = records
            .iter()
            .filter(|record| record["remote_port"] == port && text(record, "route") == route);
        let known: Vec<&Value> = own.filter(|record| !record[field].is_null()).collect();
        known
            .into_iter()
            .map(|record| number(record, field))
            .collect()
    };
    let paced = ["first_byte_us", "last_byte_us", "chunk_gap_us"]
        .map(|field| of("/v1/chat/completions", field));
    let whole =
        ["first_byte_us", "last_byte_us", "chunk_gap_us"].map(|field| of("/v1/embeddings", field));
    println!("{port}: in pieces {paced:?}, whole {whole:?}");
    let [first, last, gap] = paced.map(|times| times.into_iter().max());
    let last = last.context("no last byte")?;
    ensure!(last >= 660_000, "the last byte after {last} us");
    ensure!(first.is_some_and(|first| first < last), "{first:?}");
    // The server's own time behind the header is no pause between pieces.
    let gap = gap.context("no pause")?;
    ensure!((40_000..300_000).contains(&gap), "a pause of {gap} us");
    let [_, last_of_whole, gap_of_whole] = whole;
    ensure!(!last_of_whole.is_empty(), "no times of whole answers");
    ensure!(
        last_of_whole.iter().all(|time| *time < last),
        "{last_of_whole:?}"
    );
    ensure!(gap_of_whole.is_empty(), "{gap_of_whole:?}");
    Ok(())
}
