//! The maps which detectors, scheduler and daemon share, and the scheduler's task contexts.
//!
//! They belong to the daemon and outlive restarts of the scheduler. Every other object takes them
//! over by [`Evidence::lend`] between its open and its load.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};

use crate::intf;
use crate::skel::evidence::EvidenceSkelBuilder;

/// Owner of the shared maps.
pub struct Evidence {
    record: MapHandle,
    game: MapHandle,
    tasks: MapHandle,
    contexts: MapHandle,
}

impl Evidence {
    /// Creates the maps in the kernel.
    ///
    /// # Errors
    /// If the kernel refuses them (no BPF rights, no task storage) or if their sizes are not those
    /// of this build.
    pub fn create() -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let skel = EvidenceSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the evidence object")?
            .load()
            .context("cannot create the evidence maps")?;
        let evidence = Self {
            record: MapHandle::try_from(&skel.maps.evidence)?,
            game: MapHandle::try_from(&skel.maps.game_evidence)?,
            tasks: MapHandle::try_from(&skel.maps.task_evidence)?,
            contexts: MapHandle::try_from(&skel.maps.task_ctxs)?,
        };
        check_value_size(&evidence.record, size_of::<intf::evidence>())?;
        check_value_size(&evidence.game, size_of::<intf::game_evidence>())?;
        check_value_size(&evidence.tasks, size_of::<intf::task_evidence>())?;
        check_value_size(&evidence.contexts, size_of::<intf::task_ctx>())?;
        Ok(evidence)
    }

    /// Makes the evidence maps of an object that is not loaded yet the shared ones.
    ///
    /// # Errors
    /// If libbpf cannot duplicate the descriptors.
    pub fn lend(&self, object: &mut OpenObject) -> Result<()> {
        for mut theirs in object.maps_mut() {
            let Some(ours) = [&self.record, &self.game, &self.tasks, &self.contexts]
                .into_iter()
                .find(|ours| ours.name() == theirs.name())
            else {
                continue;
            };
            theirs
                .reuse_fd(ours.as_fd())
                .with_context(|| format!("cannot share the map {}", ours.name().display()))?;
        }
        Ok(())
    }

    /// Publishes the game's process to the BPF side; 0 means that there is none.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_game(&self, tgid: u32) -> Result<()> {
        let mut value = [0; size_of::<intf::game_evidence>()];
        value[..size_of::<u32>()].copy_from_slice(&tgid.to_ne_bytes());
        self.game
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)
            .context("cannot publish the game to the scheduler")
    }
}

fn check_value_size(map: &MapHandle, expected: usize) -> Result<()> {
    let actual = map.value_size() as usize;
    if actual != expected {
        bail!(
            "the map {} holds {actual} bytes per entry instead of {expected}: this is a bug, please report it",
            map.name().display()
        );
    }
    Ok(())
}
