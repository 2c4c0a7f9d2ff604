//! scx_gamer: the rooms of the daemon, so that tests and tools can use them.
