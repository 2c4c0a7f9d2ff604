//! Builds the BPF object, and what it shares with user space for the host.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

const BPF_DIR: &str = "src/bpf";
/// The scheduler's policy core; its histogram is used here as well.
const POLICY_DIR: &str = "../src/bpf";

fn main() -> Result<()> {
    for header in ["policy_hist.h", "policy_types.h"] {
        println!("cargo:rerun-if-changed={POLICY_DIR}/{header}");
    }
    scx_cargo::BpfBuilder::new()
        .context("no usable clang found: install clang 19 and set BPF_CLANG=clang-19")?
        .add_include_path(POLICY_DIR)
        .enable_skel(&format!("{BPF_DIR}/waittrace.bpf.c"), "waittrace")
        .build()
        .context("cannot build the BPF object waittrace")?;
    build_host_intf()
}

/// Generates the types of `waittrace.h` and the histogram functions for the host, so that there
/// is one definition of each.
fn build_host_intf() -> Result<()> {
    let out_dir = PathBuf::from(env::var("OUT_DIR").context("OUT_DIR is not set by cargo")?);
    let wrappers = out_dir.join("policy_host.c");
    bindgen::Builder::default()
        .header(format!("{BPF_DIR}/waittrace.h"))
        .clang_arg(format!("-I{POLICY_DIR}"))
        .allowlist_file(format!(".*{BPF_DIR}/waittrace.h"))
        .allowlist_file(".*/policy_hist.h")
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        // Suffix of its own: the scheduler's crate wraps the same functions.
        .wrap_static_fns_suffix("__waittrace")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .layout_tests(true)
        .generate()
        .context("cannot generate the bindings of waittrace.h")?
        .write_to_file(out_dir.join("intf.rs"))
        .context("cannot write the bindings of waittrace.h")?;
    cc::Build::new()
        .file(&wrappers)
        .include(".")
        .include(POLICY_DIR)
        .flag("-Wall")
        .flag("-Wextra")
        .flag("-Werror")
        .try_compile("waittrace_host")
        .context("cannot compile the histogram for the host")
}
