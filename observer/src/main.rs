//! The command line.

mod probe;

use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = probe::Settings {
        uplinks: std::env::args()
            .skip(1)
            .filter_map(|a| a.parse().ok())
            .collect(),
        limits: probe::Limits {
            benchmark: true,
            ..Default::default()
        },
        ..Default::default()
    };
    match probe::Probe::start(&settings, std::iter::empty()) {
        Ok(mut p) => {
            println!("{:?} {:?}", p.root, p.refused);
            std::thread::sleep(std::time::Duration::from_secs(12));
            p.read_flows(true, |r| println!("flow {} bytes", r.len()))
                .unwrap();
            p.read_slots(|k, c| println!("{k:?} {c:?}")).unwrap();
            for t in p.run_times() {
                if t.runs > 0 {
                    println!("{} {} runs {} ns", t.program, t.runs, t.run_ns / t.runs);
                }
            }
            for i in 0..p.uplinks.len() {
                println!("{:?}", p.read_uplink(i));
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}
