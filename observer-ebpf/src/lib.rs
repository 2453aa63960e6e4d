//! What crosses between kernel and user space (`abi`), and the logic of the kernel programs that needs no kernel
//! (`packet`, `account`, `request`, `http2`, `huffman`): both compile for the BPF target and natively, where their unit tests run.
//! Knows no map, no helper and no aya.

#![no_std]
#![forbid(unsafe_code)]
#![expect(
    clippy::inline_always,
    reason = "a call in BPF takes five registers and hides bounds from the verifier"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "flag bits move between words whose widths the ABI fixes, and lengths are those of packets"
)]

pub mod abi;
pub mod account;
pub mod http2;
pub mod huffman;
pub mod packet;
pub mod request;
