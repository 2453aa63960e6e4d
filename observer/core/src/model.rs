//! The types that pass between the stages: values and their words, no behaviour of any one stage.

pub mod identity;
