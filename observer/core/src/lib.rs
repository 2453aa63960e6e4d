//! Pure stages.

#![forbid(unsafe_code)]

pub mod identify;
pub mod model;
