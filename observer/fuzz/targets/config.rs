//! A configuration file of any bytes: a layer or an error of one line, and what a layer says can be said again by words
//! with the same meaning. The room is compiled in as it is: it uses nothing else of the agent.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    reason = "the agent uses more of the room than this target"
)]

#[path = "../../src/config/mod.rs"]
mod config;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| config::fuzzed(data));
