//! The command line.

mod probe;

use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = probe::Settings {
        uplinks: std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect(),
        ..Default::default()
    };
    match probe::Probe::start(&settings, std::iter::empty()) {
        Ok(mut p) => {
            println!("{:?} {:?}", p.root, p.refused);
            std::thread::sleep(std::time::Duration::from_secs(3));
            p.read_flows(true, |r| println!("flow {} bytes", r.len())).unwrap();
            p.read_slots(|k, c| println!("{k:?} {c:?}")).unwrap();
            for i in 0..p.uplinks.len() { println!("{:?}", p.read_uplink(i)); }
            ExitCode::SUCCESS
        }
        Err(e) => { eprintln!("{e:#}"); ExitCode::FAILURE }
    }
}
