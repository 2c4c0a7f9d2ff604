//! Tests that run inside the VM, all in one boot, one after the other, as root. Each is
//! `#[ignore = "runs inside the VM"]` and begins with [`require_vm`]. A new file needs its `mod`
//! line here and nothing else.

mod audio;
mod background;
mod bad_input;
mod cost;
mod display;
mod doctor;
mod environment;
mod explain;
mod interrupts;
mod life;
mod load;
pub(crate) mod malformed_btf;
mod modules;
mod network;
pub(crate) mod outside;
mod peer;
mod pipewire;
mod relay;
mod roles;
mod signals;
mod storage;
mod storms;
mod sync;
pub(crate) mod topology;
pub(crate) mod verifier;
mod weston;
mod yields;

use std::path::Path;

/// Ends a test that someone started on the host: it would act on the host's own kernel.
pub(crate) fn require_vm() {
    assert!(
        Path::new("/run/scx_gamer_vm").exists(),
        "this test runs inside the VM; its host side is on_6_18 and on_newest_7 (make test)"
    );
}
