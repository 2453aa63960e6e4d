//! Pure stages.
