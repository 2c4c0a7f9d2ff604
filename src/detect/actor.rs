//! Actor detectors: which threads do what in the kernel, by the functions that do it for them.
//!
//! [`detect`] hooks every function of [`HOOKS`] that speaks for its kind of evidence and is there.

use std::slice;

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::skel::detect_actor::{DetectActorSkel, DetectActorSkelBuilder};

/// A kernel function that runs for the thread which calls for it, and what that says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActorHook {
    /// What the thread is seen doing.
    pub kind: EvidenceKind,
    /// Where it is: a module, or built in under its name.
    pub module: &'static str,
    /// The function.
    pub function: &'static str,
}

const fn hook(kind: EvidenceKind, module: &'static str, function: &'static str) -> ActorHook {
    ActorHook {
        kind,
        module,
        function,
    }
}

/// Every function that tells something, and what. All of the kernel are found on 6.18 and 7.3. They are entered by
/// system calls only: in an interrupt, the current thread would be anybody.
/// A mark carries its row.
pub static HOOKS: [ActorHook; 23] = [
    // /dev/input/event*: compositors, and most games.
    hook(EvidenceKind::Input, "evdev", "evdev_read"),
    // /dev/hidraw*: Steam, and games that speak to a gamepad themselves.
    hook(EvidenceKind::Input, "hid", "hidraw_read"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_userq_signal_ioctl"),
    hook(EvidenceKind::Gpu, "i915", "i915_gem_execbuffer2_ioctl"),
    hook(EvidenceKind::Gpu, "xe", "xe_exec_ioctl"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_gem_ioctl_pushbuf"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_exec_ioctl_exec"),
    hook(
        EvidenceKind::Gpu,
        "virtio_gpu",
        "virtio_gpu_execbuffer_ioctl",
    ),
    // A host without 3D takes finished pictures instead.
    hook(
        EvidenceKind::Gpu,
        "virtio_gpu",
        "virtio_gpu_transfer_to_host_ioctl",
    ),
    // Waits for what was submitted: through DRM's core, or a driver's own way.
    hook(EvidenceKind::Gpu, "drm", "drm_syncobj_wait_ioctl"),
    hook(EvidenceKind::Gpu, "drm", "drm_syncobj_timeline_wait_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_wait_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_wait_fences_ioctl"),
    hook(EvidenceKind::Gpu, "i915", "i915_gem_wait_ioctl"),
    hook(EvidenceKind::Gpu, "xe", "xe_wait_user_fence_ioctl"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_gem_ioctl_cpu_prep"),
    hook(EvidenceKind::Gpu, "virtio_gpu", "virtio_gpu_wait_ioctl"),
    // NVIDIA's own driver submits from user mode. What it shows of that: waits for the GPU, and
    // fences made and taken over for others.
    hook(EvidenceKind::Gpu, "nvidia", "nvidia_poll"),
    hook(
        EvidenceKind::Gpu,
        "nvidia_drm",
        "nv_drm_semsurf_fence_create_ioctl",
    ),
    hook(
        EvidenceKind::Gpu,
        "nvidia_drm",
        "nv_drm_semsurf_fence_wait_ioctl",
    ),
    // A flip, the old and the new way.
    hook(EvidenceKind::Display, "drm", "drm_mode_page_flip_ioctl"),
    hook(EvidenceKind::Display, "drm", "drm_mode_atomic_ioctl"),
];

/// Hooks every function that speaks for this kind of evidence.
#[must_use]
pub fn detect(evidence: &Evidence, kind: EvidenceKind) -> HookDetector {
    let rows = HOOKS.iter().filter(|row| row.kind == kind);
    let sites = rows.map(|row| Site {
        names: slice::from_ref(&row.function),
        module: Some(row.module),
        only_for_game: false,
    });
    let name = kind.detector_name();
    HookDetector::start(name, sites, HookKind::BY_COST, load, evidence)
}

fn load(evidence: &Evidence, site: &Site, how: HookKind) -> Result<Loaded> {
    let function = site.name();
    let mut rows = (0..).zip(&HOOKS);
    let row = rows.find(|(_, row)| row.function == function);
    let (idx, row) = row.context("BUG: a function of no row")?;
    let mut open = DetectActorSkelBuilder::default()
        .open(storage())
        .context("cannot open the actor detector")?;
    evidence.lend(open.open_object_mut())?;
    let rodata = open.maps.rodata_data.as_mut();
    let rodata = rodata.context("BUG: the actor detector has no read-only data")?;
    rodata.kind = row.kind.index();
    rodata.source = idx;
    let progs = &mut open.progs;
    how.prepare(
        &mut progs.actor_fentry,
        &mut progs.actor_kprobe,
        site.module,
        function,
    )?;
    let skel = open.load().context("cannot load the actor detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel, function, how)),
    })
}

fn attach(skel: &DetectActorSkel<'_>, function: &str, how: HookKind) -> Result<Vec<Link>> {
    let progs = &skel.progs;
    let link = how.attach(&progs.actor_fentry, &progs.actor_kprobe, function);
    Ok(vec![link?])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_hook_and_no_function_stands_twice() {
        for kind in EvidenceKind::OF_ACTORS {
            assert!(HOOKS.iter().any(|hook| hook.kind == kind), "{kind:?}");
        }
        let functions: BTreeSet<&str> = HOOKS.iter().map(|hook| hook.function).collect();
        assert_eq!(functions.len(), HOOKS.len());
    }
}
