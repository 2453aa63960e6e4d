//! A workload: a process of its own that does its tasks over and over until its time is up, and counts what it writes
//! and reads. It knows no agent.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;

use crate::{
    http::{Head, write_filler},
    places::{PLACES, SERVICES, Service},
    server::PORT,
    tasks::{TASKS, Task, Work},
    tls,
    truth::{self, Counting, Metered, Truth},
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the counts are told.
const REPORT: Duration = Duration::from_millis(150);
/// Longest streamed answer.
const LONG_STREAM: Duration = Duration::from_mins(1);

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// None: until it is killed.
    pub time: Option<Duration>,
    /// Pauses are so many times as long.
    pub slowness: u32,
}

/// Plays all tasks of `workload`, each on a thread, against `addresses` of the services.
pub fn run(folder: &Path, workload: &str, addresses: &[Ipv4Addr], pace: Pace) -> Result<()> {
    let config = tls::client(folder)?;
    let end = pace.time.map(|time| Instant::now() + time);
    let tasks: Vec<(&Task, Arc<Counting>)> = TASKS
        .iter()
        .filter(|task| task.workload == workload)
        .map(|task| (task, Arc::default()))
        .collect();
    ensure!(!tasks.is_empty(), "no workload is called `{workload}`");
    let counts = || -> Vec<(String, Truth)> {
        tasks
            .iter()
            .map(|(task, counting)| {
                let place = &PLACES[SERVICES[task.service].place];
                (place.label(), counting.truth())
            })
            .collect()
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let reporter = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                truth::write(folder, workload, &counts())?;
                sleep(REPORT);
            }
            Ok(())
        });
        let players: Vec<_> = tasks
            .iter()
            .map(|(task, counting)| {
                let client = Client {
                    service: &SERVICES[task.service],
                    address: (addresses[task.service], PORT).into(),
                    config: Arc::clone(&config),
                    counting: Arc::clone(counting),
                };
                scope.spawn(move || play(&client, task, end, pace.slowness))
            })
            .collect();
        let ended: Vec<Result<()>> = players
            .into_iter()
            .map(|player| {
                player
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        reporter
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ended.into_iter().collect()
    })?;
    truth::write(folder, workload, &counts())
}

/// At least one round.
fn play(client: &Client, task: &Task, end: Option<Instant>, slowness: u32) -> Result<()> {
    let left = |end: Option<Instant>| {
        end.map_or(LONG_STREAM, |end| {
            end.saturating_duration_since(Instant::now())
        })
    };
    loop {
        client
            .round(&task.work, left(end).min(LONG_STREAM))
            .with_context(|| format!("`{}`: {}", client.service.server_name, task.what))?;
        let pause = task.pause * slowness;
        if left(end) <= pause {
            return Ok(());
        }
        sleep(pause);
    }
}

struct Client {
    service: &'static Service,
    address: SocketAddr,
    config: Arc<ClientConfig>,
    counting: Arc<Counting>,
}

impl Client {
    fn round(&self, work: &Work, left: Duration) -> Result<()> {
        let mut session = self.connect()?;
        match *work {
            Work::Chat {
                path,
                prompt_bytes,
                calls,
                tokens,
            } => {
                for left in (0..calls).rev() {
                    session.ask(path, prompt_bytes, (tokens, true), left == 0)?;
                }
            }
            Work::Call {
                path,
                prompt_bytes,
                tokens,
            } => session.ask(path, prompt_bytes, (tokens, false), true)?,
            Work::LongStream { path, prompt_bytes } => {
                let pause = Duration::from_millis(self.service.chunk_pause_ms);
                let tokens = left.as_millis() / pause.as_millis().max(1);
                let tokens = u64::try_from(tokens).unwrap_or(u64::MAX).max(10);
                session.ask(path, prompt_bytes, (tokens, true), true)?;
            }
            Work::Upload {
                path,
                part_bytes,
                parts,
            } => {
                for left in (0..parts).rev() {
                    session.put(path, part_bytes, left == 0)?;
                }
            }
            Work::Download {
                path,
                range_bytes,
                ranges,
            } => {
                for index in 0..u64::from(ranges) {
                    let is_last = index + 1 == u64::from(ranges);
                    session.get(path, index * range_bytes, range_bytes, is_last)?;
                }
            }
        }
        session.close()
    }

    fn connect(&self) -> Result<Session> {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)
            .with_context(|| format!("connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let name = self.service.server_name.try_into()?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let metered = Metered::new(stream, Arc::clone(&self.counting));
        Ok(Session {
            host: self.service.server_name,
            reader: BufReader::new(StreamOwned::new(connection, metered)),
        })
    }
}

/// One connection.
struct Session {
    host: &'static str,
    reader: BufReader<StreamOwned<ClientConnection, Metered>>,
}

impl Session {
    fn ask(
        &mut self,
        path: &str,
        prompt_bytes: usize,
        (tokens, stream): (u64, bool),
        is_last: bool,
    ) -> Result<()> {
        let prompt = "o".repeat(prompt_bytes);
        let body = json!({
            "messages": [{ "role": "user", "content": prompt }],
            "max_tokens": tokens,
            "stream": stream,
        })
        .to_string();
        let length = body.len();
        let fields = format!(
            "Authorization: Bearer none\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        );
        self.request("POST", path, &fields, is_last)?;
        self.reader.get_mut().write_all(body.as_bytes())?;
        self.answer(" 200 ")
    }

    fn put(&mut self, path: &str, length: u64, is_last: bool) -> Result<()> {
        let fields =
            format!("Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n");
        self.request("PUT", path, &fields, is_last)?;
        write_filler(self.reader.get_mut(), length)?;
        self.answer(" 200 ")
    }

    fn get(&mut self, path: &str, first: u64, length: u64, is_last: bool) -> Result<()> {
        let last = first + length - 1;
        let fields = format!("Range: bytes={first}-{last}\r\n");
        self.request("GET", path, &fields, is_last)?;
        self.answer(" 206 ")
    }

    fn request(&mut self, method: &str, path: &str, fields: &str, is_last: bool) -> Result<()> {
        let connection = if is_last { "close" } else { "keep-alive" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: observer-demo\r\nAccept: */*\r\n\
             Connection: {connection}\r\n{fields}\r\n",
            self.host
        );
        Ok(self.reader.get_mut().write_all(head.as_bytes())?)
    }

    fn answer(&mut self, status: &str) -> Result<()> {
        self.reader.get_mut().flush()?;
        let head = Head::read(&mut self.reader)?.context("the server closed without an answer")?;
        ensure!(
            head.first.contains(status),
            "the server answered `{}`",
            head.first
        );
        head.body(&mut self.reader, 0).map(drop)
    }

    /// The server, told that the last answer was the last, ends the connection. All it sends is read: bytes left unread
    /// would make the kernel answer with a RST, and would be in the agent's count alone.
    fn close(mut self) -> Result<()> {
        let after = self.reader.read(&mut [0])?;
        ensure!(after == 0, "the server goes on after its last answer");
        let rest = self.reader.get_mut().sock.read(&mut [0])?;
        ensure!(rest == 0, "the server goes on after its end of TLS");
        Ok(())
    }
}
