//! Lines of flow records, one at a time from any reader, in bounded memory. What cannot be read is counted and told.

use std::io::{self, BufRead, Read as _};

use crate::flow::Flow;

/// No record is longer; what is, is no record.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What became of the lines of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub records: u64,
    /// Lines that are no record.
    pub unreadable: u64,
    /// The first of them: file, line and what is wrong with it.
    pub first_unreadable: Option<String>,
    /// Ends without a line feed: a record that was still being written.
    pub cut: u64,
}

impl Read {
    /// Gives each record of `reader` to `take`; `progress` hears of each line's bytes.
    ///
    /// # Errors
    /// Where the reader fails, or `take` does.
    pub fn lines<E: From<io::Error>>(
        &mut self,
        name: &str,
        reader: impl BufRead,
        progress: impl FnMut(u64),
        mut take: impl FnMut(&Flow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.texts(
            name,
            reader,
            progress,
            |line| match serde_json::from_slice::<Flow<'_>>(line) {
                Ok(flow) => take(&flow).map(Ok),
                Err(error) => Ok(Err(error.to_string())),
            },
        )
    }

    /// Gives each whole line of `reader` to `take`, which says why it is no record, if it is none.
    ///
    /// # Errors
    /// Where the reader fails, or `take` does.
    pub fn texts<E: From<io::Error>>(
        &mut self,
        name: &str,
        mut reader: impl BufRead,
        mut progress: impl FnMut(u64),
        mut take: impl FnMut(&[u8]) -> Result<Result<(), String>, E>,
    ) -> Result<(), E> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let mut limited = (&mut reader).take(LINE_BYTES_MAX as u64);
            limited.read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            progress(line.len() as u64);
            if line.last() != Some(&b'\n') {
                if line.len() < LINE_BYTES_MAX {
                    self.cut += 1;
                    break;
                }
                self.refuse(
                    name,
                    number,
                    &format_args!("longer than {LINE_BYTES_MAX} bytes"),
                );
                skip_line(&mut reader, &mut progress)?;
                continue;
            }
            match take(&line)? {
                Ok(()) => self.records += 1,
                Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Err(why) => self.refuse(name, number, &why),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, name: &str, line: u64, why: &dyn std::fmt::Display) {
        self.unreadable += 1;
        self.first_unreadable
            .get_or_insert_with(|| format!("{name}:{line}: {why}"));
    }
}

/// Reads on to the next line.
fn skip_line(reader: &mut impl BufRead, progress: &mut impl FnMut(u64)) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(length);
        progress(length as u64);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = include_str!("../../core/tests/golden/record.json");

    #[test]
    fn records_between_broken_lines_are_all_read() {
        let record = RECORD.trim_end();
        let long = "x".repeat(LINE_BYTES_MAX * 3);
        let text = format!("{record}\n\n{{}}\n{long}\n{record}\n\u{0}\n{record}\n{record}");
        let mut read = Read::default();
        let (mut bytes, mut seen) = (0, 0);
        read.lines::<io::Error>(
            "flows.jsonl",
            text.as_bytes(),
            |more| bytes += more,
            |flow| {
                seen += flow.wire_bytes_egress;
                Ok(())
            },
        )
        .expect("a slice is read");
        assert_eq!((read.records, read.unreadable, read.cut), (3, 3, 1));
        assert_eq!((bytes, seen), (text.len() as u64, 3 * 1080));
        let first = read.first_unreadable.expect("one is told");
        assert!(first.starts_with("flows.jsonl:3: missing field"), "{first}");
    }
}
