//! Where records go. A record counts as written when the kernel has it; what an earlier run wrote is read back, so that
//! the next record of each flow continues it. Knows no probe.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read, Seek as _, Write as _},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_core::{attribute::Tails, model::record::FlowRecord, pipeline::PipelineState};
use serde::{Deserialize, Serialize};

use super::signals::Hurry;
use crate::config::Destination;

/// How every record begins.
const RECORD_START: &[u8] = b"{\"schema_version\":";
/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 * 1024;

/// The records' way out.
pub struct Output {
    sink: Sink,
    /// Whole lines that the kernel does not have yet. Records are serialised into memory: a serialiser writes a few bytes
    /// at a time, and each of those would go through the writer.
    lines: Vec<u8>,
    hurry: Hurry,
}

enum Sink {
    /// Nobody asked for records.
    Nowhere,
    Stdout,
    File {
        file: File,
        path: PathBuf,
        /// Written, with what is in `lines`.
        bytes: u64,
    },
}

impl Output {
    /// Opens the destination; a file is continued, a line that was cut while it was written is taken off.
    ///
    /// # Errors
    /// Where the file cannot be opened or cut.
    pub fn open(destination: Option<&Destination>, whole_bytes: u64, hurry: Hurry) -> Result<Self> {
        let sink = match destination {
            None => Sink::Nowhere,
            Some(Destination::Stdout) => Sink::Stdout,
            Some(Destination::File(path)) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(path)
                    .with_context(|| format!("open flow records `{}`", path.display()))?;
                let length = file
                    .metadata()
                    .with_context(|| format!("look at `{}`", path.display()))?
                    .len();
                if length > whole_bytes {
                    file.set_len(whole_bytes)
                        .with_context(|| format!("cut the broken end of `{}`", path.display()))?;
                }
                Sink::File {
                    file,
                    path: path.clone(),
                    bytes: length.min(whole_bytes),
                }
            }
        };
        Ok(Self {
            sink,
            lines: Vec::new(),
            hurry,
        })
    }

    /// Adds one record. It is written for sure after [`Output::flush`].
    ///
    /// # Errors
    /// Where it cannot be written, or a second signal asked for the end: then what is whole is written first.
    pub fn write(&mut self, record: &FlowRecord) -> Result<()> {
        if self.hurry.is_asked() {
            self.flush()?;
            bail!("a second signal ended the drain: the last records are lost");
        }
        if let Sink::Nowhere = self.sink {
            return Ok(());
        }
        let before = self.lines.len();
        record
            .write_json(&mut self.lines)
            .context("write a flow record as JSON")?;
        self.lines.push(b'\n');
        if let Sink::File { bytes, .. } = &mut self.sink {
            *bytes += (self.lines.len() - before) as u64;
        }
        if self.lines.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything to the kernel.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                for lines in pieces(&self.lines, libc::PIPE_BUF) {
                    out.write_all(lines)
                        .and_then(|()| out.flush())
                        .context("write flow records")?;
                }
            }
            Sink::File { file, path, .. } => file
                .write_all(&self.lines)
                .with_context(|| format!("write flow records to `{}`", path.display()))?,
        }
        self.lines.clear();
        Ok(())
    }

    /// Keeps `state` beside the file: what the next run needs besides the records.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, boot_id: &str, state: PipelineState) -> Result<()> {
        let Sink::File { path, bytes, .. } = &self.sink else {
            return Ok(());
        };
        let kept = Kept {
            boot_id: boot_id.to_owned(),
            credited_bytes: *bytes,
            state,
        };
        let (path, draft) = (state_path(path), state_path(path).with_extension("draft"));
        let write = || -> Result<()> {
            fs::write(&draft, serde_json::to_vec(&kept)?)?;
            Ok(fs::rename(&draft, &path)?)
        };
        write().with_context(|| format!("keep the agent's state in `{}`", path.display()))
    }
}

/// Whole lines, at most `bytes_max` at once where a line is no longer: a pipe takes as much in one piece, so that its
/// reader finds no cut line wherever the agent ends.
fn pieces(mut lines: &[u8], bytes_max: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let window = &lines[..lines.len().min(bytes_max)];
        let end = match window.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => lines
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(lines.len(), |end| end + 1),
        };
        let (piece, rest) = lines.split_at(end);
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What is kept beside the records.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    /// Records before this offset are in `state`.
    credited_bytes: u64,
    state: PipelineState,
}

fn state_path(flows: &Path) -> PathBuf {
    let mut name = flows.file_name().unwrap_or_default().to_owned();
    name.push(".state");
    flows.with_file_name(name)
}

/// What an earlier run left.
#[derive(Default)]
pub struct Earlier {
    pub state: PipelineState,
    pub tails: Tails,
}

/// Reads what an earlier run of this boot wrote to `destination`.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn earlier(destination: Option<&Destination>, boot_id: &str) -> Result<Earlier> {
    let Some(Destination::File(path)) = destination else {
        return Ok(Earlier::default());
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Earlier::default()),
        Ok(metadata) if metadata.file_type().is_fifo() => bail!(
            "flow records `{}`: it is a pipe with a name; write to `-` and send that there",
            path.display()
        ),
        Ok(_) | Err(_) => {}
    }
    let mut file =
        File::open(path).with_context(|| format!("open flow records `{}`", path.display()))?;
    let mut start = Vec::new();
    Read::by_ref(&mut file)
        .take(RECORD_START.len() as u64)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .with_context(|| format!("read flow records `{}`", path.display()))?;
    ensure!(
        RECORD_START.starts_with(&start),
        "`{}` is there and holds no flow records; name another file, or move it away",
        path.display()
    );
    let kept = fs::read(state_path(path))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
        .filter(|kept| kept.boot_id == boot_id)
        .unwrap_or_default();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut failed = None;
    let lines = std::iter::from_fn(|| {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) => {
                failed = Some(error);
                None
            }
        }
    });
    let tails = Tails::fold(lines, boot_id, kept.credited_bytes);
    match failed {
        Some(error) => {
            Err(error).with_context(|| format!("read flow records `{}`", path.display()))
        }
        None => Ok(Earlier {
            state: kept.state,
            tails,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let path = std::env::temp_dir().join(format!("observer-output-{}", std::process::id()));
        let destination = Destination::File(path.clone());
        let cases = [
            ("", true),
            ("{\"schema_version\":2,\"flow_id\"", true),
            ("{\"sch", true),
            ("{\"a\":1}", false),
            ("\x7fELF", false),
        ];
        for (contents, is_ours) in cases {
            fs::write(&path, contents).expect("written");
            let read = earlier(Some(&destination), "boot");
            assert_eq!(read.is_ok(), is_ours, "{contents:?}");
            assert_eq!(fs::read_to_string(&path).expect("there"), contents);
        }
        fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn pieces_are_whole_lines() {
        for (lines, expected) in [
            ("", vec![]),
            ("a\n", vec!["a\n"]),
            ("a\nb\nc\n", vec!["a\nb\n", "c\n"]),
            ("abcdefg\nb\n", vec!["abcdefg\n", "b\n"]),
            ("abc\nabc\n", vec!["abc\n", "abc\n"]),
            ("abcdefg", vec!["abcdefg"]),
        ] {
            let found: Vec<&[u8]> = pieces(lines.as_bytes(), 5).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|piece| piece.as_bytes()).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
