//! Goal: tasks scheduled by the policy core get what the policy promises, over seconds of time.
//! Method: a simulated machine on a virtual clock (see `machine`), seeded, without real time.

mod cpus;
mod dispatch;
mod display;
mod laws;
mod load;
mod locks;
mod machine;
mod parts;
mod queue;
mod script;
mod seeds;
mod urgency;
