//! gamesim.
fn main() {}
