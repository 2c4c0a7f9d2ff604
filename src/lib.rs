//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.

pub mod cli;
pub mod config;
pub mod detect;
pub mod error;
pub mod events;
pub mod intf;
pub mod logging;
pub mod monitor;
pub mod policy;
pub mod scheduler;
pub mod skel;
pub mod stats;
pub mod topology;
