//! Goal: tasks scheduled by the policy core get what the policy promises, over seconds of time.
//! Method: a simulated machine on a virtual clock (see `machine`), seeded, without real time.

mod laws;
mod machine;
mod parts;
mod script;
mod seeds;
