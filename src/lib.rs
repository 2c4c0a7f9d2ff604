//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.

pub mod detect;
pub mod events;
pub mod intf;
pub mod skel;
