//! `cargo xtask VERB`: the one door for people and CI.

#![forbid(unsafe_code)]

mod catalog;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the address table that the product embeds
    Catalog(catalog::CatalogArgs),
}

fn main() -> anyhow::Result<()> {
    match CommandLine::parse().verb {
        Verb::Catalog(args) => catalog::run(args),
    }
}
