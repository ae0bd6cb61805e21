//! Builds the `logtap-preload` package with its own profile and checks what came out.
//!
//! The nested build inherits nothing that could change the library: no compiler flags, no wrappers,
//! no cargo settings of the outer build; it has a target directory of its own and stays offline.
//! It refuses a library that needs anything from its surroundings.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "build/symbols.rs"]
mod symbols;

fn main() {
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), String> {
    let workspace = workspace()?;
    for path in ["preload", "crates/wire", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/symbols.rs");

    let out = PathBuf::from(variable("OUT_DIR")?);
    let built = compile(&workspace, &out.join("preload"))?;
    let library = std::fs::read(&built)
        .map_err(|error| format!("cannot read `{}`: {error}", built.display()))?;
    let needs = symbols::dependencies(&library)
        .map_err(|reason| format!("`{}` cannot be embedded: {reason}", built.display()))?;
    if !needs.is_empty() {
        return Err(format!(
            "liblogtap.so must load under any libc, but it {}",
            needs.join(", and it ")
        ));
    }
    let embedded = out.join("liblogtap.so");
    std::fs::write(&embedded, &library)
        .map_err(|error| format!("cannot write `{}`: {error}", embedded.display()))?;
    println!("cargo::rustc-env=LOGTAP_LIBRARY_BUILD_ID={:016x}", fingerprint(&library));
    Ok(())
}

/// Runs cargo for the preload package and returns the path of the library.
fn compile(workspace: &Path, target_directory: &Path) -> Result<PathBuf, String> {
    let target = library_target(&variable("TARGET")?);
    let mut command = Command::new(variable("CARGO")?);
    command
        .current_dir(workspace)
        .args(["build", "--package", "logtap-preload", "--lib", "--profile", "preload"])
        .args(["--locked", "--offline", "--quiet", "--target", &target, "--target-dir"])
        .arg(target_directory);
    for (name, _) in env::vars_os() {
        if leaks(&name) {
            command.env_remove(name);
        }
    }
    let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "building logtap-preload for {target} failed\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(target_directory.join(target).join("preload/liblogtap_preload.so"))
}

/// One library serves every libc, so a build for musl embeds the same as one for glibc. (A cdylib
/// for a musl target would be refused: those are static by default.)
fn library_target(target: &str) -> String {
    target.strip_suffix("-musl").map_or_else(|| target.to_owned(), |stem| format!("{stem}-gnu"))
}

/// Whether a variable of the outer build must not reach the nested one.
fn leaks(name: &OsString) -> bool {
    const FLAGS: [&str; 5] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "LLVM_PROFILE_FILE",
    ];
    let Some(name) = name.to_str() else { return false };
    let kept = name == "CARGO_HOME"
        || (name.starts_with("CARGO_TARGET_") && name.ends_with("_LINKER"))
        || name.starts_with("CARGO_REGISTRIES_")
        || name.starts_with("CARGO_SOURCE_");
    FLAGS.contains(&name) || (name.starts_with("CARGO_") && !kept)
}

/// The directory that holds both this crate and the preload package.
fn workspace() -> Result<PathBuf, String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.ancestors().nth(2).map(Path::to_path_buf);
    workspace.filter(|directory| directory.join("preload/Cargo.toml").is_file()).ok_or_else(|| {
        "the preload package is not beside this crate; \
         install logtap with `cargo install --path` or `--git`"
            .to_owned()
    })
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set `{name}`"))
}

/// FNV-1a: names a build, keeps no secret.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
