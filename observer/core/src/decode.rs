//! From bytes of the kernel's maps and rings to model types. Every size is checked, nothing panics, and a value that
//! no variant stands for is an error that names it. Knows no map and no earlier reading.

mod capture;
pub mod dns;
mod fields;
pub mod hello;
mod note;
pub mod quic;
mod reader;
mod speech;
mod stream;
pub mod target;
mod totals;
mod wire;

pub use capture::{capture, request};
pub use fields::{Fields, fields};
pub use note::{Note, note};
pub use speech::{Heard, SPEECH_MAX, Speech};
pub use totals::{flow, losses, remote_key, slot, udp_flow};

/// Why bytes from the kernel were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "decode of `{what}`: `{actual}` bytes instead of `{expected}`; is another build's map pinned?"
    )]
    Size {
        what: &'static str,
        expected: usize,
        actual: usize,
    },
    #[error("decode of `{what}`: the text is no path that ends where it should")]
    Text { what: &'static str },
    #[error("decode of `{what}`: `{number}` stands for nothing in this build")]
    Number { what: &'static str, number: u64 },
}
