//! Requests of HTTP/2, between a client and a server that speak it by `h2`; without that, skipped.

use std::{collections::BTreeMap, mem, path::Path, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use observer_tests::agent::{Agent, uplink};

use super::{
    AWS_US_EAST_1, Bed, OPENAI, REQUESTS, RUNTIME, TIMEOUT, by_route, common::guarded, number, own,
    server, tool,
};

/// Where there is `h2`, which the tool speaks HTTP/2 with.
pub const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/tools/h2/bin/python3"
);

pub fn with_http2(test: &str, work: impl FnOnce() -> Result<()>) {
    guarded(test, || {
        if Path::new(PYTHON).exists() {
            return work();
        }
        println!("skipped: {test}: no `target/tools/h2`; `cargo xtask setup e2e` brings it");
        Ok(())
    });
}

/// Eight streams at the same time on one connection of HTTP/2, of kinds by turns: each request counts as its own kind, and so do the
/// bytes of its DATA frames; what else there is from the second kind on is nobody's alone, and none is lost.
#[test]
fn streams_of_one_connection_are_not_mixed_up() {
    const LINES: [(&str, &str); 5] = [
        ("POST /v1/embeddings 300", "POST /v1/embeddings"),
        ("POST /v1/responses 2000", "POST /v1/responses"),
        ("GET /v1/files/file-1/content", "GET /v1/files/**"),
        ("DELETE /v1/files/file-1/content", "DELETE /v1/files/**"),
        ("POST /v1/nowhere 10", "POST -"),
    ];
    with_http2("streams_of_one_connection_are_not_mixed_up", || {
        let count = std::env::var("REQUESTS").map_or(Ok(REQUESTS), |count| count.parse())?;
        let mut bed = Bed::new("tick: 500ms\n")?;
        let (count_text, place) = (count.to_string(), server(AWS_US_EAST_1));
        let mut arguments = vec!["streams", &count_text, "8", &place, OPENAI];
        arguments.extend(LINES.iter().map(|(line, _)| *line));
        bed.client(&arguments, "")?;
        let noted = bed.noted()?;
        let records = own(bed.agent.stop()?);
        let sums = by_route(&records);
        // Before the second request there is one kind alone.
        let second = noted["requests"].get(1).context("a second request")?;
        let mut right = 0;
        for (nth, (line, route)) in (0_u64..).zip(LINES) {
            let made = (count + LINES.len() as u64 - 1 - nth) / LINES.len() as u64;
            let sum = sums.get(route).copied().unwrap_or_default();
            ensure!(sum[2] <= made, "{route}: {sum:?} of {made}: {sums:?}");
            right += sum[2];
            let body = line.split(' ').nth(2).map_or(Ok(0), str::parse::<u64>)?;
            let frame = if body == 0 { 0 } else { body + 9 };
            let sent = if nth == 0 {
                number(second, "sent") + (made - 1) * frame
            } else {
                made * frame
            };
            ensure!(sum[0] == sent, "{route}: {sum:?} instead of {sent} sent");
        }
        println!("{right} of {count} right; {sums:?}");
        ensure!(right * 100 >= count * 99, "{right} of {count}: {sums:?}");
        let known = |key: &str| key == "- -" || LINES.iter().any(|(_, route)| *route == key);
        ensure!(sums.keys().all(|key| known(key)), "{sums:?}");
        let all = |field: usize| sums.values().map(|sum| sum[field]).sum::<u64>();
        let taken = [number(&noted, "taken"), number(&noted, "given")];
        ensure!([all(0), all(1)] == taken, "{sums:?} instead of {taken:?}");
        Ok(())
    });
}

/// A connection that was there before the agent: what is put into its table from then on is known, and what was put there before is
/// not, and is not guessed.
#[test]
fn older_connections_recover() {
    const COUNT: u64 = 1_000;
    with_http2("older_connections_recover", || {
        let mut bed = Bed::new("tick: 500ms\n")?;
        let mut command = tool();
        command.args(["streams", &COUNT.to_string(), "2", &server(AWS_US_EAST_1)]);
        command.args([OPENAI, "GET /v1/files/{n}", "POST /v1/embeddings 10"]);
        command.env("PAUSE", "0.02").stdin(Stdio::null());
        command.stderr(Stdio::piped());
        let client = bed.net.near.spawn(command)?;
        thread::sleep(Duration::from_secs(2));
        let path = bed.path("observer.yaml").display().to_string();
        let agent = Agent::start(
            &[uplink(&bed.net.near, bed.net.near_device)],
            &["--config", &path, "--tick", "0.5"],
        )?;
        let before = mem::replace(&mut bed.agent, agent).stop()?;
        ensure!(client.output(TIMEOUT)?.status.success(), "the client");
        let (before, after) = (by_route(&own(before)), by_route(&own(bed.agent.stop()?)));
        println!("{before:?}, then {after:?}");
        let requests = |sums: &BTreeMap<String, [u64; 3]>, route: &str| {
            sums.get(route).map_or(0, |sum| sum[2])
        };
        ensure!(requests(&before, "POST /v1/embeddings") > 0, "{before:?}");
        // Its name is not known, and so no route is; that of a path is told by its method here.
        let known = ["- -", "GET -", "POST -"];
        ensure!(
            after.keys().all(|key| known.contains(&key.as_str())),
            "{after:?}"
        );
        let [unknown, files, embeddings] = known.map(|key| requests(&after, key));
        let sent = COUNT - before.values().map(|sum| sum[2]).sum::<u64>();
        ensure!(unknown + files + embeddings <= sent, "{after:?} of {sent}");
        // Each of these is put into the table anew.
        ensure!(files > 10 && files <= sent / 2 + 1, "{after:?}");
        // This one is in the table until it is thrown out, and not known so long.
        ensure!(files.abs_diff(unknown + embeddings) < 8, "{after:?}");
        Ok(())
    });
}

/// Has requests of HTTP/2 made that keep a secret; false without `h2`.
pub fn whisper(bed: &Bed, secret: &str) -> Result<bool> {
    if !Path::new(PYTHON).exists() {
        return Ok(false);
    }
    let place = server(AWS_US_EAST_1);
    let lines = [
        "POST /model/us.openai.gpt-6/converse 4000",
        "GET /async-invoke/y",
    ];
    let arguments = [&["streams", "40", "4", &place, RUNTIME], &lines[..]].concat();
    bed.client(&arguments, secret)?;
    Ok(true)
}

/// What a text is in HPACK's code, whatever stands before it; nothing without `h2`.
pub fn coded(secret: &str) -> Result<Vec<Vec<u8>>> {
    let mut coded = Vec::new();
    if !Path::new(PYTHON).exists() {
        return Ok(coded);
    }
    let output = tool().args(["huffman", secret]).output()?;
    for line in String::from_utf8(output.stdout)?.lines() {
        let digits = line.as_bytes().chunks(2).map(str::from_utf8);
        let bytes = digits.map(|digits| Ok(u8::from_str_radix(digits?, 16)?));
        coded.push(bytes.collect::<Result<Vec<u8>>>()?);
    }
    ensure!(coded.len() == 8, "the secret is not coded");
    Ok(coded)
}
