//! Which boots there are: a table of sets.

use clap::ValueEnum;
use vmtest::failure::Result;
use vmtest::machine::Shape;

/// A set of boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// The run of record: 2 CPUs, everybody; 6.18 as many frames as it can, newest 7.x as the display shows them
    Record,
    /// All scenarios, uncapped and paced, 2 CPUs, everybody
    Full,
    /// One CPU, SMT, two caches, two NUMA nodes: does it work there
    Topologies,
    /// scx_gamer without each feature of its policy
    Ablation,
    /// Two scenarios, the kernel's scheduler and scx_gamer, one short round
    Quick,
}

/// A topology of the guest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topology {
    /// Costs are exact here, as nothing else runs meanwhile.
    One,
    Two,
    Smt,
    TwoLlc,
    TwoNodes,
}

impl Topology {
    pub(crate) fn shape(self) -> Result<Shape> {
        match self {
            Self::One => Shape::flat(1),
            Self::Two => Shape::flat(2),
            Self::Smt => Shape::new(Some(4), 1, Some(2), 2, 1),
            Self::TwoLlc => Shape::new(Some(4), 2, Some(2), 1, 1),
            Self::TwoNodes => Shape::new(Some(4), 2, Some(2), 1, 2),
        }
    }

    /// For a person.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::One => "1 CPU",
            Self::Two => "2 CPUs",
            Self::Smt => "4 CPUs, 2 SMT siblings per core",
            Self::TwoLlc => "4 CPUs, 2 last-level caches",
            Self::TwoNodes => "4 CPUs, 2 NUMA nodes",
        }
    }
}

/// Who takes part.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    /// The kernel's scheduler, the oracle, scx_gamer, all peers that are cached.
    All,
    /// The kernel's scheduler and scx_gamer.
    Two,
    /// scx_gamer, whole and in parts.
    Ablation,
}

/// One boot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Boot {
    /// Directory of its results.
    pub(crate) name: &'static str,
    pub(crate) kernel: &'static str,
    pub(crate) topology: Topology,
    pub(crate) courses: &'static [&'static str],
    pub(crate) field: Field,
    pub(crate) rounds: u32,
    /// Measured seconds of a cell: 600 frames in three rounds take a scheduler of 20 fps 10 s each.
    pub(crate) seconds: f64,
}

const RECORD: Boot = Boot {
    name: "6.18",
    kernel: "6.18",
    topology: Topology::Two,
    courses: &["quiet", "hogs", "compile", "chat"],
    field: Field::All,
    rounds: 3,
    seconds: 10.0,
};

const RECORD_PACED: Boot = Boot {
    name: "7-paced",
    kernel: "7",
    courses: &["hogs-paced"],
    ..RECORD
};

const FUNCTIONAL: Boot = Boot {
    name: "",
    courses: &["quiet", "hogs", "mixed"],
    field: Field::Two,
    rounds: 1,
    seconds: 3.0,
    ..RECORD
};

impl Set {
    /// Its boots.
    pub(crate) fn boots(self) -> Vec<Boot> {
        match self {
            Self::Record => vec![RECORD, RECORD_PACED],
            Self::Full => vec![
                Boot {
                    courses: &[
                        "quiet", "hogs", "compile", "chat", "stream", "shaders", "rt", "mixed",
                    ],
                    ..RECORD
                },
                Boot {
                    courses: &[
                        "quiet-paced",
                        "hogs-paced",
                        "compile-paced",
                        "chat-paced",
                        "stream-paced",
                        "shaders-paced",
                        "rt-paced",
                        "mixed-paced",
                    ],
                    ..RECORD_PACED
                },
            ],
            Self::Topologies => vec![
                Boot {
                    name: "1-cpu",
                    topology: Topology::One,
                    ..FUNCTIONAL
                },
                Boot {
                    name: "smt",
                    topology: Topology::Smt,
                    ..FUNCTIONAL
                },
                Boot {
                    name: "2-llc",
                    topology: Topology::TwoLlc,
                    ..FUNCTIONAL
                },
                Boot {
                    name: "2-nodes",
                    topology: Topology::TwoNodes,
                    ..FUNCTIONAL
                },
            ],
            Self::Ablation => vec![Boot {
                name: "ablation",
                courses: &["quiet", "hogs", "compile", "chat"],
                field: Field::Ablation,
                seconds: 4.0,
                ..RECORD
            }],
            Self::Quick => vec![Boot {
                name: "quick",
                courses: &["quiet", "hogs"],
                field: Field::Two,
                rounds: 1,
                seconds: 2.0,
                ..RECORD
            }],
        }
    }

    /// The command that runs it.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Record => "make bench",
            Self::Full => "make bench SET=full",
            Self::Topologies => "make bench SET=topologies",
            Self::Ablation => "make ablation",
            Self::Quick => "make bench-quick",
        }
    }
}
