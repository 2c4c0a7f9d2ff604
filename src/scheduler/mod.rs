//! The life of the BPF scheduler, as types: [`Opened`] -> [`Loaded`] -> [`Attached`].
//!
//! Each step consumes the one before it. Dropping any of them takes everything back out of the
//! kernel; an [`Attached`] that is dropped detaches the scheduler, and the kernel's own takes over.

mod load;
pub mod preflight;
mod report;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel};
use libbpf_rs::{Link, OpenObject};
use log::{debug, warn};
use scx_utils::libbpf_clap_opts::LibbpfOpts;
use scx_utils::{scx_ops_attach, scx_ops_open, uei_exited, uei_report};

use crate::config::Config;
use crate::detect::evidence::Evidence;
use crate::intf;
use crate::real_time::Turn;
use crate::skel::main::{BpfSkel, BpfSkelBuilder, OpenBpfSkel};
use crate::stats::{Llc, Program};
use crate::topology::Layout;

pub use report::{ExitReport, enable_run_time_stats};

/// Memory that libbpf's object lives in; outlives all the states.
pub type Storage = MaybeUninit<OpenObject>;

/// The object is parsed, nothing is in the kernel yet.
pub struct Opened<'storage> {
    skel: OpenBpfSkel<'storage>,
}

/// All programs have passed the verifier.
pub struct Loaded<'storage> {
    skel: BpfSkel<'storage>,
}

/// The scheduler schedules.
pub struct Attached<'storage> {
    // Dropped first: detaches the scheduler before its maps go.
    link: Option<Link>,
    skel: BpfSkel<'storage>,
}

impl<'storage> Opened<'storage> {
    /// Opens the object for this kernel.
    ///
    /// # Errors
    /// If the kernel has no `sched_ext` or libbpf cannot parse the object with these options.
    pub fn open(storage: &'storage mut Storage, options: &LibbpfOpts) -> Result<Self> {
        let builder = BpfSkelBuilder::default();
        let options = options.clone().into_bpf_open_opts();
        let skel = scx_ops_open!(builder, storage, gamer_ops, options)
            .context("cannot open the scheduler object")?;
        Ok(Self { skel })
    }

    /// Fixes the configuration and the machine's layout, takes over the evidence maps and loads.
    ///
    /// # Errors
    /// If the kernel refuses a program or a map; names the kernel's malformed kfuncs if that is
    /// why.
    pub fn load(
        mut self,
        config: &Config,
        layout: &Layout,
        evidence: &Evidence,
    ) -> Result<Loaded<'storage>> {
        load::apply_config(&mut self.skel, config)?;
        let idle_by_node = load::keeps_idle_by_node(config, layout);
        load::apply_layout(&mut self.skel, layout, idle_by_node)?;
        load::fit_to_kernel(&mut self.skel, idle_by_node);
        evidence.lend(self.skel.open_object_mut())?;
        load::load(self.skel).map(|skel| Loaded { skel })
    }
}

impl<'storage> Loaded<'storage> {
    /// Hands the machine's threads to the scheduler.
    ///
    /// # Errors
    /// If another scheduler is attached or the kernel refuses.
    pub fn attach(mut self) -> Result<Attached<'storage>> {
        // Somebody else may have come since the first look.
        preflight::check_vacant()?;
        // Up to 6.18 the kernel moves all threads to the scheduler in the name of the one that attaches it.
        // Moved itself, it comes after those that are not yet: beside enough load, never.
        let turn = Turn::begin();
        if let Err(error) = &turn {
            debug!("attaching without a turn in the real-time class: {error}");
        }
        let link = scx_ops_attach!(self.skel, gamer_ops)?;
        drop(turn);
        Ok(Attached {
            link: Some(link),
            skel: self.skel,
        })
    }

    /// Name and number of verified instructions of each loaded program.
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        report::verified_instructions(self.skel.object())
    }
}

impl Attached<'_> {
    /// Becomes readable when the scheduler has exited.
    #[must_use]
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.skel.maps.exit_notice.as_fd()
    }

    /// Whether the kernel has ended the scheduler.
    #[must_use]
    pub fn exited(&self) -> bool {
        uei_exited!(&self.skel, uei)
    }

    /// The per-CPU statistics since the scheduler was attached.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn cpu_stats(&self) -> Result<Vec<intf::cpu_stats>> {
        report::cpu_stats(&self.skel.maps.stats)
    }

    /// Load and regime of each last-level cache.
    #[must_use]
    pub fn llcs(&self, count: u16) -> Vec<Llc> {
        report::llcs(&self.skel, usize::from(count))
    }

    /// Run count and run time of each program, as the kernel's BPF statistics give them; all
    /// zero while nobody has switched these on.
    #[must_use]
    pub fn program_costs(&self) -> Vec<Program> {
        report::program_costs(self.skel.object())
    }

    /// Detaches, if that has not happened yet, and says how the scheduler ended.
    ///
    /// # Errors
    /// If it was ended by an error: a stall, a fault, a refusal at run time.
    pub fn finish(mut self) -> Result<ExitReport> {
        drop(self.link.take());
        if report::ended_by_sysrq(&self.skel) {
            // A person's emergency key is no failure, after which a service would start again.
            warn!("ended by the SysRq key");
            return Ok(ExitReport { restart: false });
        }
        let info = uei_report!(&self.skel, uei)?;
        Ok(ExitReport {
            restart: info.should_restart(),
        })
    }
}
