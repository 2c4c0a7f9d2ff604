//! Goal: the policy core keeps its laws for every input, also at the edges of its number types.
//! Method: property tests, a reference model in Rust, table cases and a snapshot of decisions.

mod admit;
mod deadline;
mod features;
mod frame;
mod hist;
mod inherit;
mod inputs;
mod lock;
mod miss;
mod net;
mod perf;
mod pick;
mod place;
mod preempt;
mod rate;
mod regime;
mod roles;
mod rt;
mod snapshot;
mod vtime;
mod window;
mod yields;
