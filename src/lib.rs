//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.

pub mod detect;
pub mod intf;
pub mod policy;
pub mod scheduler;
pub mod skel;
pub mod topology;
