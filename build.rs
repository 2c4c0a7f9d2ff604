//! Builds the BPF objects with their skeletons, and the policy core for the host.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const BPF_DIR: &str = "src/bpf";

/// Source file (without `.bpf.c`) and skeleton name of each BPF object. The scheduler's name has
/// to be `bpf`: the macros of `scx_utils` count on it.
const OBJECTS: [(&str, &str); 12] = [
    ("main", "bpf"),
    ("evidence", "evidence"),
    ("detect_input", "detect_input"),
    ("detect_actor", "detect_actor"),
    ("detect_audio", "detect_audio"),
    ("detect_relay", "detect_relay"),
    ("detect_flip", "detect_flip"),
    ("detect_gpu_irq", "detect_gpu_irq"),
    ("detect_process", "process"),
    ("detect_network", "detect_network"),
    ("detect_storage", "detect_storage"),
    ("detect_sync", "detect_sync"),
];

fn main() -> Result<()> {
    for header in glob_headers()? {
        println!("cargo:rerun-if-changed={}", header.display());
    }
    for (source, skeleton) in OBJECTS {
        scx_cargo::BpfBuilder::new()
            .context("no usable clang found: install clang 19 and set BPF_CLANG=clang-19")?
            .enable_skel(&format!("{BPF_DIR}/{source}.bpf.c"), skeleton)
            .build()
            .with_context(|| format!("cannot build the BPF object {source}"))?;
    }
    build_host_policy()
}

fn glob_headers() -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(BPF_DIR).with_context(|| format!("cannot read {BPF_DIR}"))?;
    let mut headers: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "h"))
        .collect();
    headers.sort();
    Ok(headers)
}

/// Compiles the inline functions of `policy_*.h` for the host and generates their Rust
/// declarations together with the types of `intf.h`, so that there is one definition of each.
fn build_host_policy() -> Result<()> {
    let out_dir = PathBuf::from(env::var("OUT_DIR").context("OUT_DIR is not set by cargo")?);
    let intf = Path::new(BPF_DIR).join("intf.h");
    let wrappers = out_dir.join("policy_host.c");
    bindgen::Builder::default()
        .header(intf.to_string_lossy())
        .clang_arg(format!("-I{BPF_DIR}"))
        .allowlist_file(format!(".*{BPF_DIR}/.*"))
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .layout_tests(true)
        .generate()
        .context("cannot generate the bindings of intf.h")?
        .write_to_file(out_dir.join("intf.rs"))
        .context("cannot write the bindings of intf.h")?;
    cc::Build::new()
        .file(&wrappers)
        .include(".")
        .include(BPF_DIR)
        .flag("-Wall")
        .flag("-Wextra")
        .flag("-Werror")
        .try_compile("policy_host")
        .context("cannot compile the policy core for the host")
}
