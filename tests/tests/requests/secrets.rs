//! What requests keep in headers, query and body is in no record, no metric, no line of the agent's, no map, no ring and no pin.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::mount::umount;
use observer_tests::{
    agent::{detach, uplink},
    maps, mounts,
    scratch::Scratch,
};
use serde_json::Value;

use super::{AWS_US_EAST_1, Bed, PLAIN_PORT, PORT, RUNTIME, http2, server, text, with_python};

pub const CANARY: &str = "sk-canary-5e3c9f1b7a2d";
/// Also in base64 and percent-encoded.
const FORMS: [&str; 3] = [CANARY, "c2stY2FuYXJ5LTVlM2M5ZjFiN2EyZA", "sk%2Dcanary"];
/// What the kernel half cannot say by itself: the paths are in the ring.
const PATHS: [&str; 2] = [
    "/model/us.openai.gpt-5/converse",
    "/model/us.openai.gpt-7/converse",
];

#[test]
fn secrets_stay_where_they_are() {
    with_python("secrets_stay_where_they_are", || {
        let directory = Scratch::new("observer-secret-pins-")?;
        let mount = directory.path().join("bpf");
        fs::create_dir(&mount)?;
        mounts::mount_at(&mount, "bpf")?;
        let done = whisper(&mount.join("observer"));
        umount(&mount)?;
        done
    });
}

fn whisper(pins: &Path) -> Result<()> {
    let before = maps::newest();
    let pins = pins.display().to_string();
    let bed = Bed::start_with("tick: 500ms\n", &["--pin", &pins])?;
    bed.wait_for_probes()?;
    let aws = server(AWS_US_EAST_1);
    for line in [
        "POST /model/us.openai.gpt-5/converse 4000",
        "GET /async-invoke/x",
        "POST /v1/nowhere 3 pieces",
    ] {
        bed.client(&["talk", &aws, RUNTIME, line], CANARY)?;
    }
    let place = format!("{AWS_US_EAST_1}:{PLAIN_PORT}");
    let plain = "POST /model/us.openai.gpt-7/converse 40";
    bed.client(&["talk", &place, RUNTIME, plain], CANARY)?;
    let has_http2 = http2::whisper(&bed, CANARY)?;
    let coded = http2::coded(CANARY)?;

    let maps = maps::contents(before)?;
    // The way is there, so that what is looked for could have been found.
    let (_, ring) = maps
        .iter()
        .find(|(name, _)| name == "CAPTURES")
        .context("no ring of captures")?;
    let http2 = has_http2.then_some("/model/us.openai.gpt-6/converse");
    for path in PATHS.into_iter().chain(http2) {
        ensure!(has(ring, path.as_bytes()), "the ring has no {path}");
    }
    none_has_it(&maps, &coded)?;
    let metrics = bed.agent.metrics()?;
    let said = bed.agent.said().join("\n");
    let uplink = uplink(&bed.net.near, bed.net.near_device);
    let records = bed.agent.stop()?;
    // What is pinned is still there.
    let pinned = maps::contents(before)?;
    ensure!(pinned.len() > 20, "only {} maps are pinned", pinned.len());
    none_has_it(&pinned, &coded)?;
    detach(&pins, &uplink)?;

    let typed = records
        .iter()
        .filter(|record| record["remote_port"] == PORT && !record["method"].is_null());
    let flows: BTreeSet<&str> = typed.map(|record| text(record, "flow_id")).collect();
    let expected = 3 + usize::from(has_http2);
    ensure!(flows.len() == expected, "{} flows were read", flows.len());
    none_says_it(&metrics, &said, &records)?;
    println!("{} maps, {} of them pinned", maps.len(), pinned.len());
    Ok(())
}

fn has(bytes: &[u8], own: &[u8]) -> bool {
    bytes.windows(own.len()).any(|part| part == own)
}

/// Nothing that the agent says has the secret in any form.
pub fn none_says_it(metrics: &str, said: &str, records: &[Value]) -> Result<()> {
    let records = serde_json::to_string(records)?;
    for (place, text) in [
        ("metrics", metrics),
        ("messages", said),
        ("records", &records),
    ] {
        for secret in FORMS {
            ensure!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    Ok(())
}

/// No map has the secret in any form, nor in HPACK's code.
pub fn none_has_it(maps: &[(String, Vec<u8>)], coded: &[Vec<u8>]) -> Result<()> {
    for (name, bytes) in maps {
        for secret in FORMS {
            ensure!(
                !has(bytes, secret.as_bytes()),
                "{secret} is in the map {name}"
            );
        }
        let is_coded = coded.iter().any(|coded| has(bytes, coded));
        ensure!(!is_coded, "{CANARY} is in the map {name}, coded");
    }
    Ok(())
}
