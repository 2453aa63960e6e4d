//! As much of HTTP/1.1 as the demo's services need: heads, bodies with a length, bodies in chunks. It knows no socket.

use std::io::{BufRead, Read, Write};

use anyhow::{Context, Result, bail, ensure};

/// Of one head, and of one chunk's size line.
const HEAD_BYTES_MAX: u64 = 16 << 10;
const BUFFER_BYTES: usize = 64 << 10;

/// The head of a request or an answer.
pub struct Head {
    /// Request or status line.
    pub first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The next head; none where the other end has said that nothing more comes.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut limited = reader.take(HEAD_BYTES_MAX);
        let mut first = String::new();
        if limited.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            limited.read_line(&mut line)?;
            ensure!(
                line.ends_with('\n'),
                "a head without an end in {HEAD_BYTES_MAX} bytes"
            );
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("field `{line}`"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let first = first.trim_end().to_owned();
        Ok(Some(Self { first, fields }))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    fn length(&self) -> Result<u64> {
        let text = self.field("content-length").unwrap_or("0");
        text.parse().with_context(|| format!("length `{text}`"))
    }

    /// Reads the body that follows this head to its end; returns its length and, of its start, at most `keep` bytes.
    pub fn body(&self, reader: &mut impl BufRead, keep: usize) -> Result<(u64, Vec<u8>)> {
        let mut kept = Vec::new();
        if self.field("transfer-encoding") != Some("chunked") {
            let length = self.length()?;
            take(reader, length, keep, &mut kept)?;
            return Ok((length, kept));
        }
        let mut sum = 0;
        loop {
            let length = chunk_length(reader)?;
            take(reader, length, keep, &mut kept)?;
            take(reader, 2, 0, &mut Vec::new())?;
            sum += length;
            if length == 0 {
                return Ok((sum, kept));
            }
        }
    }
}

/// Writes one chunk; an empty one ends the body.
pub fn write_chunk(writer: &mut impl Write, bytes: &[u8]) -> Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    writer.write_all(&chunk)?;
    Ok(writer.flush()?)
}

/// Writes `length` bytes of a body.
pub fn write_filler(writer: &mut impl Write, length: u64) -> Result<()> {
    let block = vec![b'o'; BUFFER_BYTES];
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
        writer.write_all(&block[..part])?;
        left -= part as u64;
    }
    Ok(writer.flush()?)
}

fn chunk_length(reader: &mut impl BufRead) -> Result<u64> {
    let mut line = String::new();
    reader.take(HEAD_BYTES_MAX).read_line(&mut line)?;
    let text = line.trim_end();
    u64::from_str_radix(text, 16).with_context(|| format!("length of a chunk `{text}`"))
}

fn take(reader: &mut impl BufRead, length: u64, keep: usize, kept: &mut Vec<u8>) -> Result<()> {
    let mut left = length;
    while left > 0 {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            bail!("the body ends {left} bytes early");
        }
        let part = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let room = keep.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..part.min(room)]);
        reader.consume(part);
        left -= part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_to_their_end_and_no_further() {
        let mut chunks = Vec::new();
        write_chunk(&mut chunks, b"hello ").expect("in memory");
        write_chunk(&mut chunks, b"world").expect("in memory");
        write_chunk(&mut chunks, b"").expect("in memory");
        let chunks = String::from_utf8(chunks).expect("text");
        for (message, length, kept) in [
            (
                format!("A\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
                11,
                "hello wo",
            ),
            ("A\r\ncontent-length: 3\r\n\r\nabc".to_owned(), 3, "abc"),
            ("A\r\n\r\n".to_owned(), 0, ""),
        ] {
            let text = format!("{message}NEXT\r\n\r\n");
            let mut reader = text.as_bytes();
            let head = Head::read(&mut reader).expect("a head").expect("one");
            assert_eq!(head.first, "A");
            let (read, start) = head.body(&mut reader, 8).expect("a body");
            assert_eq!((read, start.as_slice()), (length, kept.as_bytes()));
            let next = Head::read(&mut reader).expect("a head").expect("one");
            assert_eq!(next.first, "NEXT");
            assert!(Head::read(&mut reader).expect("the end").is_none());
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        for text in [
            "A\r\ncontent-length: 3\r\n\r\nab",
            "A\r\nno end",
            "A\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut reader = text.as_bytes();
            let read =
                Head::read(&mut reader).and_then(|head| head.context("none")?.body(&mut reader, 0));
            assert!(read.is_err(), "{text}");
        }
    }
}
