//! The first page: where bytes go, what they cost, whether they were allowed and how fast, whether they add up, and how the
//! agent is.

mod agent;
mod contracts;
mod cost;
mod traffic;

use super::{
    board::{Board, Row, Variable},
    panel::{Draw, Panel, Unit},
};

pub fn board() -> Board {
    Board {
        uid: "observer-overview",
        title: "observer / overview",
        description: "Where bytes go, what they cost, whether contracts allow it, how fast, whether they add up, and how the agent is. Amounts over a range are \
                      approximate, because increase() leaves out a series' first sample; exact figures are in the flow records.",
        variables: vec![
            Variable {
                name: "instance",
                label: "host",
                query: "label_values(observer_build_info, instance)",
            },
            Variable {
                name: "cloud",
                label: "cloud",
                query: r#"label_values(observer_wire_bytes_total{instance=~"$instance"}, cloud)"#,
            },
            Variable {
                name: "workload",
                label: "workload",
                query: r#"label_values(observer_wire_bytes_total{instance=~"$instance", cloud=~"$cloud"}, workload)"#,
            },
        ],
        rows: vec![
            Row {
                title: "Where bytes go",
                panels: traffic::amounts(),
            },
            Row {
                title: "What it costs",
                panels: cost::estimates(),
            },
            Row {
                title: "Was it allowed",
                panels: contracts::verdicts(),
            },
            Row {
                title: "How fast",
                panels: traffic::times(),
            },
            Row {
                title: "Does it add up",
                panels: agent::accounts(),
            },
            Row {
                title: "The agent",
                panels: agent::health(),
            },
        ],
    }
}

fn panel(title: &'static str, description: &'static str, draw: Draw, unit: Unit) -> Panel {
    let (width, height) = match draw {
        Draw::Stat | Draw::Words(..) => (6, 4),
        Draw::Lines | Draw::Stack | Draw::Bars | Draw::Heatmap => (12, 8),
        Draw::Table(_) => (24, 9),
    };
    Panel {
        title,
        description,
        width,
        height,
        unit,
        draw,
        queries: Vec::new(),
        steps: &[],
    }
}
