//! The virtual machine as a typed value: how many CPUs in which topology, memory, clock, limits.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::{Failure, Result};

/// How the guest's time passes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Clock {
    /// By the host's clock, one host thread per CPU (KVM where it works, otherwise emulation).
    #[default]
    Parallel,
    /// By instructions executed: host load does not exist in it. Always emulation, one thread.
    Counted,
}

/// CPU topology: sockets (each with its own last-level cache) of cores of threads, on NUMA nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    sockets: u32,
    cores: u32,
    threads: u32,
    nodes: u32,
}

impl Shape {
    /// Most CPUs that a guest may have.
    pub const CPUS_MAX: u32 = 256;

    /// `cpus` CPUs on one socket without SMT and NUMA.
    ///
    /// # Errors
    /// See [`Shape::new`].
    pub fn flat(cpus: u32) -> Result<Self> {
        Self::new(Some(cpus), 1, None, 1, 1)
    }

    /// A shape from the numbers given; what is left open follows from the others (2 CPUs if
    /// neither `cpus` nor `cores` is given).
    ///
    /// # Errors
    /// A zero, a product that is not `cpus`, or sockets that cannot be divided among the nodes.
    pub fn new(
        cpus: Option<u32>,
        sockets: u32,
        cores: Option<u32>,
        threads: u32,
        nodes: u32,
    ) -> Result<Self> {
        let bad = |why: String| Err(Failure::Usage(why));
        if [
            cpus.unwrap_or(1),
            sockets,
            cores.unwrap_or(1),
            threads,
            nodes,
        ]
        .contains(&0)
        {
            return bad("every number of a CPU shape must be at least 1".into());
        }
        let per_core = u64::from(sockets) * u64::from(threads);
        let total = match (cpus, cores) {
            (Some(cpus), _) => u64::from(cpus),
            (None, Some(cores)) => per_core * u64::from(cores),
            (None, None) => per_core.max(2),
        };
        if total > u64::from(Self::CPUS_MAX) {
            return bad(format!("{total} CPUs are more than {}", Self::CPUS_MAX));
        }
        let cores_wanted = cores.map_or(total / per_core, u64::from);
        if cores_wanted * per_core != total {
            return bad(format!(
                "{total} CPUs cannot be {sockets} socket(s) of {cores_wanted} core(s) of {threads} thread(s)"
            ));
        }
        if !total.is_multiple_of(u64::from(nodes))
            || !(sockets.is_multiple_of(nodes) || nodes.is_multiple_of(sockets))
        {
            return bad(format!(
                "{nodes} NUMA nodes cannot share {total} CPUs on {sockets} socket(s)"
            ));
        }
        let cores = u32::try_from(cores_wanted).unwrap_or(Self::CPUS_MAX);
        if nodes > sockets && !cores.is_multiple_of(nodes / sockets) {
            return bad(format!(
                "{nodes} NUMA nodes would cut a core of {sockets} socket(s) in two"
            ));
        }
        Ok(Self {
            sockets,
            cores,
            threads,
            nodes,
        })
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpus(self) -> u32 {
        self.sockets * self.cores * self.threads
    }

    /// QEMU's arguments for this shape with `mem_mib` MiB of memory divided among the nodes.
    #[must_use]
    pub fn qemu_args(self, mem_mib: u32) -> Vec<String> {
        let Self {
            sockets,
            cores,
            threads,
            nodes,
        } = self;
        let mut args = vec![
            "-smp".into(),
            format!(
                "{},sockets={sockets},cores={cores},threads={threads}",
                self.cpus()
            ),
        ];
        // QEMU wants the nodes' memory to add up to the whole exactly.
        let mem_mib = mem_mib - mem_mib % nodes;
        args.extend(["-m".into(), format!("{mem_mib}M")]);
        if nodes > 1 {
            let cpus_each = self.cpus() / nodes;
            for node in 0..nodes {
                let first = node * cpus_each;
                let last = first + cpus_each - 1;
                args.extend([
                    "-object".into(),
                    format!("memory-backend-ram,id=node{node},size={}M", mem_mib / nodes),
                    "-numa".into(),
                    format!("node,nodeid={node},cpus={first}-{last},memdev=node{node}"),
                ]);
            }
        }
        args
    }
}

/// Everything about a VM except its kernel and its command.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPU topology.
    pub shape: Shape,
    /// How time passes.
    pub clock: Clock,
    /// Memory in MiB.
    pub mem_mib: u32,
    /// Host wall-clock limit of the whole run.
    pub limit: Duration,
    /// Idle CPUs poll instead of halting (steadier in parallel time, burns the host).
    pub idle_poll: bool,
    /// Boot systemd as init and run the command as its only unit besides `basic.target`.
    pub systemd: bool,
    /// A host directory that the guest may write, seen there as `/mnt/share`.
    pub share: Option<PathBuf>,
    /// Modules to load besides [`Machine::MODULES`].
    pub modules: Vec<String>,
    /// Further kernel arguments.
    pub append: String,
}

impl Machine {
    /// Modules that every guest has: input, display and sound of a real game pipeline.
    pub const MODULES: [&str; 6] = [
        "virtio_gpu",
        "uinput",
        "evdev",
        "virtio_input",
        "snd_dummy",
        "snd_aloop",
    ];
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            shape: Shape {
                sockets: 1,
                cores: 2,
                threads: 1,
                nodes: 1,
            },
            clock: Clock::Parallel,
            mem_mib: 3072,
            limit: Duration::from_secs(600),
            idle_poll: false,
            systemd: false,
            share: None,
            modules: Vec::new(),
            append: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Shape};

    fn joined(shape: Shape, mem_mib: u32) -> String {
        shape.qemu_args(mem_mib).join(" ")
    }

    #[test]
    fn default_shape_is_two_cores_on_one_socket() {
        let shape = Shape::new(None, 1, None, 1, 1).unwrap();
        assert_eq!(
            joined(shape, 1024),
            "-smp 2,sockets=1,cores=2,threads=1 -m 1024M"
        );
    }

    #[test]
    fn cores_follow_from_cpus_sockets_and_threads() {
        let shape = Shape::new(Some(8), 2, None, 2, 1).unwrap();
        assert_eq!(
            joined(shape, 512),
            "-smp 8,sockets=2,cores=2,threads=2 -m 512M"
        );
        assert_eq!(Shape::new(None, 2, Some(3), 2, 1).unwrap().cpus(), 12);
    }

    #[test]
    fn nodes_share_cpus_and_memory_evenly() {
        let args = joined(Shape::new(Some(4), 2, None, 1, 2).unwrap(), 1025);
        assert!(args.contains("-m 1024M"), "{args}");
        assert!(
            args.contains("memory-backend-ram,id=node1,size=512M"),
            "{args}"
        );
        assert!(
            args.contains("node,nodeid=0,cpus=0-1,memdev=node0"),
            "{args}"
        );
        assert!(
            args.contains("node,nodeid=1,cpus=2-3,memdev=node1"),
            "{args}"
        );
    }

    #[test]
    fn impossible_shapes_are_refused_with_the_numbers() {
        let cases = [
            (Shape::new(Some(0), 1, None, 1, 1), "at least 1"),
            (
                Shape::new(Some(3), 2, None, 1, 1),
                "3 CPUs cannot be 2 socket(s)",
            ),
            (Shape::new(Some(4), 1, Some(3), 1, 1), "4 CPUs cannot be"),
            (Shape::new(Some(4), 1, None, 1, 3), "3 NUMA nodes"),
            (Shape::new(Some(6), 3, None, 1, 2), "2 NUMA nodes"),
            (Shape::new(Some(2), 1, None, 2, 2), "cut a core"),
            (
                Shape::new(Some(1), u32::MAX, None, u32::MAX, 1),
                "cannot be",
            ),
            (Shape::new(Some(1000), 1, None, 1, 1), "more than 256"),
        ];
        for (result, part) in cases {
            match result {
                Err(Failure::Usage(text)) => assert!(text.contains(part), "{text}"),
                other => panic!("expected a usage failure with {part:?}, got {other:?}"),
            }
        }
    }
}
