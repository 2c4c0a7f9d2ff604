//! The VM harness.
