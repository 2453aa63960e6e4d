//! Whole packet sequences through the programs, without a kernel: each test is a thread with maps of its own.

mod endpoint;
mod host;
mod losses;
mod names;
mod packet;
mod process;
mod read;
mod tcp;
mod udp;
mod uplink;
