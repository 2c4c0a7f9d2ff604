//! scx_gamer.
fn main() {}
