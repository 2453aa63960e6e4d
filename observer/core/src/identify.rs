//! From evidence to identity: tables in memory and pure functions over them. Knows no file, no socket and no clock;
//! what is not in the evidence stays unknown.

pub mod address;
pub mod classify;
pub mod combine;
pub mod dns;
pub mod feed;
pub mod name;
pub mod naming;
pub mod path;
pub mod route;
