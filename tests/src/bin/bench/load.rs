//! The loads: each runs for a fixed time between two hosts, on threads of this process, and says how much it did. They
//! know no agent.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring};

use crate::ends::Ends;

const TIMEOUT: Duration = Duration::from_secs(10);
const BULK_WRITE_BYTES: usize = 64 << 10;
const CONNECTIONS_PER_ADDRESS: u32 = 2_000;

/// What a load did: units (bytes, messages, connections, datagrams) a second, and single round trips where it has them.
pub struct Done {
    pub per_second: f64,
    pub round_trips_ns: Vec<u64>,
}

/// A load by its parameters.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Streams from near to far, as fast as they go; counted are bytes received.
    Bulk { streams: usize },
    /// One message there and back on each of so many connections, from two threads; counted are round trips.
    Messages { connections: usize, bytes: usize },
    /// Connections opened by near and closed by far, one after the other.
    Connections,
    /// The same, and near says a TLS hello in each, which far reads.
    Hellos,
    /// One connection, one message there and back at a time.
    PingPong { bytes: usize },
    /// Datagrams from near, as fast as they go.
    Datagrams { bytes: usize },
}

impl Load {
    /// Runs for `time` after everything is connected.
    pub fn run(self, ends: &Ends, time: Duration) -> Result<Done> {
        let stop = Arc::new(AtomicBool::new(false));
        match self {
            Self::Bulk { streams } => bulk(ends, streams, time, &stop),
            Self::Messages { connections, bytes } => {
                messages(ends, connections, bytes, time, &stop)
            }
            Self::Connections => connections(ends, Vec::new(), time, &stop),
            Self::Hellos => connections(ends, hello()?, time, &stop),
            Self::PingPong { bytes } => ping_pong(ends, bytes, time),
            Self::Datagrams { bytes } => datagrams(ends, bytes, time),
        }
    }
}

fn bulk(ends: &Ends, streams: usize, time: Duration, stop: &Arc<AtomicBool>) -> Result<Done> {
    let received = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for (mut near, mut far) in pairs(ends, streams)? {
        let count = Arc::clone(&received);
        threads.push(ends.start_far(move || {
            let mut buffer = vec![0; 256 << 10];
            while let Ok(length @ 1..) = far.read(&mut buffer) {
                count.fetch_add(length as u64, Ordering::Relaxed);
            }
            Ok(())
        })?);
        let stop = Arc::clone(stop);
        threads.push(ends.start_near(move || {
            let buffer = vec![0; BULK_WRITE_BYTES];
            while !stop.load(Ordering::Relaxed) {
                near.write_all(&buffer)?;
            }
            Ok(())
        })?);
    }
    finish(&received, threads, time, stop)
}

fn messages(
    ends: &Ends,
    connections: usize,
    bytes: usize,
    time: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Done> {
    const THREADS: usize = 2;
    let answered = Arc::new(AtomicU64::new(0));
    let mut groups: Vec<(Vec<TcpStream>, Vec<TcpStream>)> =
        (0..THREADS).map(|_| Default::default()).collect();
    for (index, (near, far)) in pairs(ends, connections)?.into_iter().enumerate() {
        groups[index % THREADS].0.push(near);
        groups[index % THREADS].1.push(far);
    }
    let mut threads = Vec::new();
    for (mut near, mut far) in groups {
        threads.push(ends.start_far(move || {
            let mut buffer = vec![0; bytes];
            loop {
                for stream in &mut far {
                    if stream.read_exact(&mut buffer).is_err() {
                        return Ok(());
                    }
                    stream.write_all(&buffer)?;
                }
            }
        })?);
        let (stop, count) = (Arc::clone(stop), Arc::clone(&answered));
        threads.push(ends.start_near(move || {
            let mut buffer = vec![0; bytes];
            while !stop.load(Ordering::Relaxed) {
                for stream in &mut near {
                    stream.write_all(&buffer)?;
                }
                for stream in &mut near {
                    stream.read_exact(&mut buffer)?;
                }
                count.fetch_add(near.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        })?);
    }
    finish(&answered, threads, time, stop)
}

/// Near says `said` in each connection.
fn connections(ends: &Ends, said: Vec<u8>, time: Duration, stop: &Arc<AtomicBool>) -> Result<Done> {
    let opened = Arc::new(AtomicU64::new(0));
    let (listener, server) = listen(ends)?;
    let (stop_far, stop_near, count) = (Arc::clone(stop), Arc::clone(stop), Arc::clone(&opened));
    let mut heard = vec![0; said.len()];
    let far = ends.start_far(move || {
        while !stop_far.load(Ordering::Relaxed) {
            // The last one says nothing.
            listener.accept()?.0.read_exact(&mut heard).err();
        }
        Ok(())
    })?;
    let near = ends.start_near(move || {
        let mut index = 0;
        while !stop_near.load(Ordering::Relaxed) {
            if let Err(cause) = open_one(server, index, &said) {
                // The far end may have ended first.
                return if stop_near.load(Ordering::Relaxed) {
                    Ok(())
                } else {
                    Err(cause)
                };
            }
            count.fetch_add(1, Ordering::Relaxed);
            index += 1;
        }
        // The listener may wait for one more.
        let _ = TcpStream::connect_timeout(&server, TIMEOUT);
        Ok(())
    })?;
    finish(&opened, vec![near, far], time, stop)
}

/// What a client of TLS 1.3 says first.
fn hello() -> Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), "api.bench.example".try_into()?)?;
    let mut said = Vec::new();
    client.write_tls(&mut said)?;
    Ok(said)
}

/// Opens `count` connections as fast as they go.
pub fn open_and_close(ends: &Ends, count: u32) -> Result<()> {
    let (listener, server) = listen(ends)?;
    let far = ends.start_far(move || {
        for _ in 0..count {
            drop(listener.accept()?);
        }
        Ok(())
    })?;
    let near =
        ends.start_near(move || (0..count).try_for_each(|index| open_one(server, index, &[])))?;
    [near, far].into_iter().try_for_each(join)
}

/// Far closes first and keeps the time-wait; the next address comes before a pair of ports could come again.
fn open_one(server: SocketAddr, index: u32, said: &[u8]) -> Result<()> {
    let SocketAddr::V4(first) = server else {
        return Err(anyhow!("the loads speak IPv4"));
    };
    let address = Ipv4Addr::from(u32::from(*first.ip()) + index / CONNECTIONS_PER_ADDRESS);
    let mut stream = TcpStream::connect_timeout(&(address, first.port()).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(said)?;
    stream.read_exact(&mut [0; 1]).err();
    Ok(())
}

fn ping_pong(ends: &Ends, bytes: usize, time: Duration) -> Result<Done> {
    let (mut near, mut far) = pairs(ends, 1)?
        .pop()
        .context("one pair of connected sockets")?;
    let echo = ends.start_far(move || {
        let mut buffer = vec![0; bytes];
        while far.read_exact(&mut buffer).is_ok() {
            far.write_all(&buffer)?;
        }
        Ok(())
    })?;
    let round_trips_ns = ends.near(|| -> Result<Vec<u64>> {
        let (mut buffer, mut times) = (vec![0; bytes], Vec::new());
        let start = Instant::now();
        while start.elapsed() < time {
            let sent = Instant::now();
            near.write_all(&buffer)?;
            near.read_exact(&mut buffer)?;
            times.push(u64::try_from(sent.elapsed().as_nanos())?);
        }
        Ok(times)
    })?;
    drop(near);
    join(echo)?;
    Ok(Done {
        per_second: round_trips_ns.len() as f64 / time.as_secs_f64(),
        round_trips_ns,
    })
}

fn datagrams(ends: &Ends, bytes: usize, time: Duration) -> Result<Done> {
    let server = ends.net.far_address(4, 0);
    // Bound and not read: what does not fit is dropped after it was counted.
    let sink = ends.net.far.run(|| UdpSocket::bind(server))?;
    let to = sink.local_addr()?;
    let sent = ends.near(|| -> Result<u64> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to)?;
        let (buffer, start, mut sent) = (vec![0; bytes], Instant::now(), 0);
        while start.elapsed() < time {
            socket.send(&buffer)?;
            sent += 1;
        }
        Ok(sent)
    })?;
    Ok(Done {
        per_second: sent as f64 / time.as_secs_f64(),
        round_trips_ns: Vec::new(),
    })
}

/// Connected sockets without Nagle's delay, near and far end.
pub fn pairs(ends: &Ends, count: usize) -> Result<Vec<(TcpStream, TcpStream)>> {
    let (listener, server) = listen(ends)?;
    (0..count)
        .map(|_| {
            let near = ends.near(|| Ok(TcpStream::connect_timeout(&server, TIMEOUT)?))?;
            let far = listener.accept()?.0;
            for stream in [&near, &far] {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
            }
            Ok((near, far))
        })
        .collect()
}

/// On every address of the far host; returned with the first.
fn listen(ends: &Ends) -> Result<(TcpListener, SocketAddr)> {
    let listener = ends
        .net
        .far
        .run(|| TcpListener::bind("0.0.0.0:0"))
        .context("cannot listen on the far host")?;
    let port = listener.local_addr()?.port();
    Ok((listener, ends.net.far_address(4, port)))
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread
        .join()
        .map_err(|_| anyhow!("a load's thread panicked"))?
}

/// Counts what is done in `time`, after a tenth of it for warming up; then ends the threads.
fn finish(
    count: &AtomicU64,
    threads: Vec<JoinHandle<Result<()>>>,
    time: Duration,
    stop: &AtomicBool,
) -> Result<Done> {
    std::thread::sleep(time / 10);
    let (before, start) = (count.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(time);
    let done = count.load(Ordering::Relaxed) - before;
    let per_second = done as f64 / start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().try_for_each(join)?;
    Ok(Done {
        per_second,
        round_trips_ns: Vec::new(),
    })
}
