//! Where things are in this workspace, and what cargo says of it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// The kernel programs' target, as in `.cargo/config.toml`.
pub const BPF_TARGET: &str = "bpfel-unknown-none";

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    // Set by `cargo run`; the compiled-in path serves a binary that is started by hand.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// The project's own tools. Always under the workspace, whatever `CARGO_TARGET_DIR` says: `.cargo/config.toml` and
/// `observer/build.rs` name the same place.
pub fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// Sources of the standard library, one folder a compiler version; `observer/build.rs` looks here.
pub fn rust_src_dir() -> PathBuf {
    root().join("target/rust-src")
}

/// Kernels and images of the guests that other kernels run in.
pub fn matrix_dir() -> PathBuf {
    root().join("target/matrix")
}

/// What `cargo metadata` tells, as far as it is used here.
#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    /// `None` = a package of this workspace or another path.
    pub source: Option<String>,
    pub targets: Vec<Target>,
}

#[derive(Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
}

/// The workspace's own packages.
pub fn members() -> Result<Metadata> {
    metadata(&["--no-deps"])
}

/// The workspace's packages and everything they depend on, for every target.
pub fn dependencies() -> Result<Metadata> {
    metadata(&[])
}

fn metadata(arguments: &[&str]) -> Result<Metadata> {
    let said = shell::capture(
        shell::cargo()
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(arguments),
    )?;
    serde_json::from_str(&said).context("read the output of `cargo metadata`")
}
