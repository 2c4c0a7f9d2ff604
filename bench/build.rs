//! Builds the BPF object of the bare scheduler.

use anyhow::{Context, Result};

fn main() -> Result<()> {
    scx_cargo::BpfBuilder::new()
        .context("no usable clang found: install clang 19 and set BPF_CLANG=clang-19")?
        .enable_skel("src/bpf/bare.bpf.c", "bare")
        .build()
        .context("cannot build the BPF object bare")
}
