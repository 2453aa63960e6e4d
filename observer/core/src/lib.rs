//! The pure stages of observer: decode, attribute, identify, price, judge, aggregate, and the pipeline that orders them. Time, ids
//! and file contents arrive as arguments: nothing here reads a clock, a file, a socket or the kernel.

#![forbid(unsafe_code)]

pub mod aggregate;
pub mod attribute;
pub mod decode;
pub mod identify;
pub mod judge;
pub mod model;
pub mod pipeline;
pub mod price;
