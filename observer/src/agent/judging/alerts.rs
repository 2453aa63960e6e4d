//! Violations as alerts of an Alertmanager (`POST /api/v2/alerts`), sent by a thread of their own: a server that does not answer
//! holds up no tick.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use observer_core::{
    judge::event::{State, Violation},
    model::{
        names::{Severity, UNKNOWN},
        record::RecordContext,
    },
};
use serde_json::{Value, json};

use crate::{config::Contracts, files, web::Client};

/// Requests that wait to be sent.
const QUEUE_MAX: usize = 64;
/// Pauses before a request is tried again; then it is lost, and what goes on is told again later.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// For what was told last, when the agent ends.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// Of a file that has nothing but a token in it.
const TOKEN_BYTES_MAX: u64 = 16 << 10;
/// What the alerts are called.
const ALERT_NAME: &str = "ObserverContractViolation";

/// Dropped, it sends what waits and ends by itself.
pub struct Alerts {
    queue: Option<SyncSender<Vec<u8>>>,
    lost: Arc<AtomicU64>,
    sender: JoinHandle<()>,
}

impl Alerts {
    /// `None` where no Alertmanager is named.
    ///
    /// # Errors
    /// Where the token's file cannot be read, or there is no thread to be had.
    pub fn start(settings: &Contracts) -> Result<Option<Self>> {
        let Some(server) = &settings.alertmanager else {
            return Ok(None);
        };
        let token = settings.alertmanager_token_file.as_ref().map(|path| {
            let token = String::from_utf8(files::read(path, TOKEN_BYTES_MAX)?);
            let token =
                token.with_context(|| format!("read `{}`: it is not UTF-8", path.display()))?;
            anyhow::Ok(token.trim().to_owned())
        });
        let token = token.transpose()?;
        let url = format!("{server}/api/v2/alerts");
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let lost = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&lost);
        let sender = thread::Builder::new()
            .name("alerts".to_owned())
            .spawn(move || send(&waiting, &url, token.as_deref(), &counted))
            .context("start a thread for alerts")?;
        Ok(Some(Self {
            queue: Some(queue),
            lost,
            sender,
        }))
    }

    pub fn tell(&self, violations: &[Violation], context: &RecordContext) {
        let alerts: Vec<Value> = violations.iter().map(|one| alert(one, context)).collect();
        let body = Value::from(alerts).to_string().into_bytes();
        let is_taken = self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(body).is_ok());
        if !is_taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is sent, but not for long; returns what was lost.
    pub fn finish(mut self) -> u64 {
        self.queue = None;
        let begun = Instant::now();
        while !self.sender.is_finished() && begun.elapsed() < FINISH_MAX {
            thread::sleep(Duration::from_millis(20));
        }
        self.lost()
    }

    /// Requests that no server took.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn send(waiting: &Receiver<Vec<u8>>, url: &str, token: Option<&str>, lost: &AtomicU64) {
    let client = Client::quick();
    let mut was_lost = false;
    while let Ok(body) = waiting.recv() {
        let mut sent = client.post_json(url, token, &body);
        for pause in PAUSES {
            // Once one was lost the next ones are not waited for, until one is taken again.
            if sent.is_ok() || was_lost {
                break;
            }
            thread::sleep(pause);
            sent = client.post_json(url, token, &body);
        }
        if let Err(error) = &sent {
            lost.fetch_add(1, Ordering::Relaxed);
            if !was_lost {
                eprintln!("observer: violations are not told: {error:#}");
            }
        }
        was_lost = sent.is_err();
    }
}

fn alert(violation: &Violation, context: &RecordContext) -> Value {
    let ends = match violation.state {
        State::Ended => violation.last_seen,
        State::Began | State::Continues => violation.told_again_by,
    };
    let word = |word: Option<&str>| word.unwrap_or(UNKNOWN).to_owned();
    json!({
        "labels": {
            "alertname": ALERT_NAME,
            "contract": violation.contract,
            "rule": violation.rule,
            "severity": word(violation.severity.map(Severity::word)),
            "namespace": word(violation.namespace.as_deref()),
            "workload": word(violation.workload.as_deref()),
            "destination": violation.destination,
            "host": context.host,
            "cluster": word(context.cluster.as_deref()),
        },
        "annotations": {
            "summary": format!("{} talks to {} against rule {} of contract {}", word(violation.workload.as_deref()),
                violation.destination, violation.rule, violation.contract),
            "evidence": word(violation.evidence.as_deref()),
            "records": violation.records.to_string(),
            "wire_bytes": violation.wire_bytes.to_string(),
            "rules_version": word(context.rules_version.as_deref()),
        },
        "startsAt": violation.first_seen,
        "endsAt": ends,
    })
}
