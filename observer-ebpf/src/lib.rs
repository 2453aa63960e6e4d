//! What crosses between kernel and user space (`abi`), and the logic of the kernel programs that needs no kernel
//! (`packet`, `account`): both compile for the BPF target and natively, where their unit tests run.
//! Knows no map, no helper and no aya.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod account;
pub mod packet;
