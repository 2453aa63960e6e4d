//! Compiles the kernel programs (package `observer-ebpf`) for the BPF target and leaves the object at
//! `OUT_DIR/observer-ebpf` for `aya::include_bytes_aligned!`. One cargo call with a target folder of its own,
//! shared by every profile and by clippy, so that `core` is compiled once. Installs nothing: what is missing is named,
//! and `cargo xtask setup` brings it.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Package, binary and object have one name.
const PROGRAMS: &str = "observer-ebpf";
const BPF_TARGET: &str = "bpfel-unknown-none";

fn main() -> ExitCode {
    match embed_programs() {
        Ok(()) => ExitCode::SUCCESS,
        // The directive alone fails the build, without the dump that follows a failed exit status.
        Err(Failure::Missing(what)) => {
            println!("cargo::error={what}");
            ExitCode::SUCCESS
        }
        // A failed exit status makes cargo show the inner build's own diagnostics, which went to standard error.
        Err(Failure::Broken(what)) => {
            println!("cargo::error={what}");
            ExitCode::FAILURE
        }
    }
}

/// Why there is no object.
enum Failure {
    /// Something is not installed; the sentence says what to do.
    Missing(String),
    /// Everything was there and still it failed.
    Broken(String),
}

fn embed_programs() -> Result<(), Failure> {
    let workspace = workspace_root()?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    watch(&workspace);

    if variable("CARGO_CFG_TARGET_ENDIAN")? != "little" {
        return Err(Failure::Missing(
            "the kernel programs are built for little-endian hosts only".into(),
        ));
    }
    require_linker(&workspace)?;
    let library = library_override(&workspace)?;

    let target_dir = shared_target_dir(&out_dir);
    // Two builds with different features would overwrite each other's object between build and copy.
    let _lock = lock(&target_dir)?;
    let object = compile(&target_dir, library.as_deref(), tells_of_losses()?)?;
    fs::copy(&object, out_dir.join(PROGRAMS))
        .map_err(|e| Failure::Broken(format!("copy `{}`: {e}", object.display())))?;
    Ok(())
}

/// Tells cargo what the object is made from; without it every change in `observer` would compile the programs again.
fn watch(workspace: &Path) {
    for path in [
        "observer/build.rs",
        "observer-ebpf/src",
        "observer-ebpf/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "target/tools/bin/bpf-linker",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
}

/// The path is the one `.cargo/config.toml` names.
fn require_linker(workspace: &Path) -> Result<(), Failure> {
    let linker = workspace.join("target/tools/bin/bpf-linker");
    if linker.is_file() {
        return Ok(());
    }
    Err(Failure::Missing(
        "bpf-linker is missing from `target/tools/bin`: run `cargo xtask setup`".into(),
    ))
}

/// Where the source of `core` is when the toolchain does not carry it; `None` = the toolchain does.
fn library_override(workspace: &Path) -> Result<Option<PathBuf>, Failure> {
    let sysroot = rustc_says(&["--print", "sysroot"])?;
    // The folder alone proves nothing: it is there with other components too.
    if Path::new(sysroot.trim())
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .is_file()
    {
        return Ok(None);
    }
    let version = rustc_release()?;
    let library = workspace.join(format!("target/rust-src/{version}/library"));
    if library.join("Cargo.lock").is_file() {
        return Ok(Some(library));
    }
    Err(Failure::Missing(format!(
        "the source of Rust's core library {version} (rust-src) is missing: run `cargo xtask setup`"
    )))
}

/// `1.95.0` out of `rustc -vV`.
fn rustc_release() -> Result<String, Failure> {
    rustc_says(&["-vV"])?
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::Broken("`rustc -vV` names no release".into()))
}

fn rustc_says(arguments: &[&str]) -> Result<String, Failure> {
    let rustc = variable("RUSTC")?;
    let output = Command::new(&rustc)
        .args(arguments)
        .output()
        .map_err(|e| Failure::Broken(format!("start `{}`: {e}", rustc.display())))?;
    String::from_utf8(output.stdout)
        .map_err(|e| Failure::Broken(format!("output of `{}`: {e}", rustc.display())))
}

/// `bpf` in the build's target folder, so that dev, release and clippy share one compiled `core`. Falls back to a
/// private folder where cargo's layout is not the known `TARGET_DIR/[TRIPLE/]PROFILE/build/PACKAGE/out`.
fn shared_target_dir(out_dir: &Path) -> PathBuf {
    let known = out_dir
        .ancestors()
        .nth(2)
        .is_some_and(|d| d.ends_with("build"));
    let Some(dir) = out_dir.ancestors().nth(4).filter(|_| known) else {
        return out_dir.join("bpf");
    };
    let triple = env::var_os("TARGET");
    match dir.parent() {
        Some(parent) if dir.file_name() == triple.as_deref() => parent.join("bpf"),
        _ => dir.join("bpf"),
    }
}

/// Held until dropped; the operating system releases it if the build is killed.
fn lock(target_dir: &Path) -> Result<File, Failure> {
    let path = target_dir.join("observer.lock");
    let broken = |e| Failure::Broken(format!("lock `{}`: {e}", path.display()));
    fs::create_dir_all(target_dir).map_err(broken)?;
    let file = File::create(&path).map_err(broken)?;
    file.lock().map_err(broken)?;
    Ok(file)
}

/// Debug builds have the programs' messages (feature `log` of `observer-ebpf`) and read them (`cfg(kernel_log)`): the object
/// itself is always compiled with optimisation, so this build's profile decides.
fn tells_of_losses() -> Result<bool, Failure> {
    println!("cargo::rustc-check-cfg=cfg(kernel_log, fuzzing)");
    let debug = variable("PROFILE")? == "debug";
    if debug {
        println!("cargo::rustc-cfg=kernel_log");
    }
    Ok(debug)
}

/// Flags and linker of the BPF target come from `.cargo/config.toml`; returns the object's path.
fn compile(target_dir: &Path, library: Option<&Path>, log: bool) -> Result<PathBuf, Failure> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args([
            "build",
            "--release",
            "--package",
            PROGRAMS,
            "--bin",
            PROGRAMS,
        ])
        .args(["--target", BPF_TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target_dir)
        // A stable compiler builds `core` only under this; it is set for this one build.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TERM_QUIET", "true")
        .env("AYA_BPF_TARGET_ARCH", bpf_target_arch()?)
        // The host's flags and clippy's wrapper are not for the kernel.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    let arch = bpf_target_arch()?;
    let features = [("log", log), ("x86_64", arch == "x86_64")];
    for (feature, _) in features.iter().filter(|(_, is_on)| *is_on) {
        cargo.args(["--features", feature]);
    }
    if let Some(library) = library {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    let status = cargo
        .status()
        .map_err(|e| Failure::Broken(format!("start cargo for `{PROGRAMS}`: {e}")))?;
    if !status.success() {
        return Err(Failure::Broken(format!(
            "the kernel programs (`{PROGRAMS}`) did not compile: {status}"
        )));
    }
    Ok(target_dir.join(BPF_TARGET).join("release").join(PROGRAMS))
}

/// Name of the host's processor in aya-ebpf's words: it decides the layout of `pt_regs`.
fn bpf_target_arch() -> Result<String, Failure> {
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let arch = arch.to_string_lossy();
    Ok(if arch.starts_with("riscv64") {
        "riscv64".into()
    } else {
        arch.into_owned()
    })
}

fn workspace_root() -> Result<PathBuf, Failure> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    package
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| Failure::Broken(format!("`{}` has no parent", package.display())))
}

fn variable(name: &str) -> Result<OsString, Failure> {
    env::var_os(name).ok_or_else(|| Failure::Broken(format!("cargo did not set `{name}`")))
}
