//! What each workload does, as a table: which service it asks, how, and how often. It opens no connection.

use std::time::Duration;

use crate::places::{AZURE_OPENAI, BEDROCK, BLOB, OPENAI, S3, VERTEX};

/// One thing that a workload does over and over.
pub struct Task {
    /// Name of the executable, the control group and the row.
    pub workload: &'static str,
    /// What people read.
    pub what: &'static str,
    /// Index into `SERVICES`.
    pub service: usize,
    pub work: Work,
    /// From the end of one round to the start of the next; keeps the rate bounded.
    pub pause: Duration,
}

/// One round.
#[derive(Clone, Copy)]
pub enum Work {
    /// Stateless chat calls on one connection, each answered by a stream of chunks.
    Chat {
        path: &'static str,
        prompt_bytes: usize,
        calls: u32,
        tokens: u64,
    },
    /// One call on a connection of its own, answered at once.
    Call {
        path: &'static str,
        prompt_bytes: usize,
        tokens: u64,
    },
    /// One answer that goes on for the rest of the run, at most LONG_STREAM: a chunk for each token.
    LongStream {
        path: &'static str,
        prompt_bytes: usize,
    },
    /// Parts of an object, on a connection kept for so many.
    Upload {
        path: &'static str,
        part_bytes: u64,
        parts: u32,
    },
    /// Ranges of an object, on a connection kept for so many.
    Download {
        path: &'static str,
        range_bytes: u64,
        ranges: u32,
    },
}

const MIB: u64 = 1 << 20;

pub const TASKS: [Task; 7] = [
    Task {
        workload: "chat-agent",
        what: "agent turns on bedrock-runtime, streamed answers",
        service: BEDROCK,
        work: Work::Chat {
            path: "/model/anthropic.claude-sonnet-4/converse-stream",
            prompt_bytes: 6_000,
            calls: 3,
            tokens: 25,
        },
        pause: Duration::from_millis(200),
    },
    Task {
        workload: "chat-agent",
        what: "model calls to an Azure OpenAI deployment, streamed answers",
        service: AZURE_OPENAI,
        work: Work::Chat {
            path: "/openai/deployments/acme-chat/chat/completions?api-version=2024-10-21",
            prompt_bytes: 18_000,
            calls: 2,
            tokens: 30,
        },
        pause: Duration::from_millis(250),
    },
    Task {
        workload: "checkout",
        what: "fraud scores from Vertex AI, a new connection for each",
        service: VERTEX,
        work: Work::Call {
            path: "/v1/projects/acme/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent",
            prompt_bytes: 1_800,
            tokens: 90,
        },
        pause: Duration::from_millis(60),
    },
    Task {
        workload: "checkout",
        what: "short answers from api.openai.com, a new connection for each",
        service: OPENAI,
        work: Work::Call {
            path: "/v1/chat/completions",
            prompt_bytes: 900,
            tokens: 40,
        },
        pause: Duration::from_millis(300),
    },
    Task {
        workload: "report-writer",
        what: "one long streamed answer from api.openai.com",
        service: OPENAI,
        work: Work::LongStream {
            path: "/v1/responses",
            prompt_bytes: 40_000,
        },
        pause: Duration::from_millis(500),
    },
    Task {
        workload: "nightly-backup",
        what: "upload to S3 in parts of 4 MiB",
        service: S3,
        work: Work::Upload {
            path: "/2026/db.tar.zst?partNumber=1&uploadId=demo",
            part_bytes: 4 * MIB,
            parts: 2,
        },
        pause: Duration::from_millis(700),
    },
    Task {
        workload: "billing-export",
        what: "download from Blob Storage in ranges of 2 MiB",
        service: BLOB,
        work: Work::Download {
            path: "/exports/2026-10.parquet",
            range_bytes: 2 * MIB,
            ranges: 2,
        },
        pause: Duration::from_millis(900),
    },
];

/// Each workload once, in the order of the table.
pub fn workloads() -> Vec<&'static str> {
    let mut names = Vec::new();
    for task in &TASKS {
        if !names.contains(&task.workload) {
            names.push(task.workload);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_comm_and_no_task_has_the_row_of_another() {
        for (index, task) in TASKS.iter().enumerate() {
            assert!(task.workload.len() <= 15, "{}", task.workload);
            let row = (task.workload, crate::places::SERVICES[task.service].place);
            let same = TASKS[..index].iter().filter(|other| {
                (other.workload, crate::places::SERVICES[other.service].place) == row
            });
            assert_eq!(same.count(), 0, "{row:?}");
        }
        assert_eq!(workloads().len(), 5);
    }
}
