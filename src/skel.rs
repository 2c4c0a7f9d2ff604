//! The generated skeletons of the BPF objects, one module each.
#![allow(unsafe_code, missing_docs, dead_code, non_snake_case, unreachable_pub)]
#![allow(clippy::all, clippy::pedantic, clippy::restriction)]

/// The scheduler.
pub mod main {
    include!(concat!(env!("OUT_DIR"), "/bpf_skel.rs"));
}

/// The maps which all objects share.
pub mod evidence {
    include!(concat!(env!("OUT_DIR"), "/evidence_skel.rs"));
}

/// The input detector.
pub mod detect_input {
    include!(concat!(env!("OUT_DIR"), "/detect_input_skel.rs"));
}

/// The actor detector.
pub mod detect_actor {
    include!(concat!(env!("OUT_DIR"), "/detect_actor_skel.rs"));
}

/// The audio detector.
pub mod detect_audio {
    include!(concat!(env!("OUT_DIR"), "/detect_audio_skel.rs"));
}

/// The relay detector.
pub mod detect_relay {
    include!(concat!(env!("OUT_DIR"), "/detect_relay_skel.rs"));
}

/// The flip detector.
pub mod detect_flip {
    include!(concat!(env!("OUT_DIR"), "/detect_flip_skel.rs"));
}

/// The detector of the interrupts of GPUs and displays.
pub mod detect_gpu_irq {
    include!(concat!(env!("OUT_DIR"), "/detect_gpu_irq_skel.rs"));
}

/// The process detector.
pub mod process {
    include!(concat!(env!("OUT_DIR"), "/process_skel.rs"));
}

/// The network detector.
pub mod detect_network {
    include!(concat!(env!("OUT_DIR"), "/detect_network_skel.rs"));
}

/// The storage detector.
pub mod detect_storage {
    include!(concat!(env!("OUT_DIR"), "/detect_storage_skel.rs"));
}

/// The sync detector.
pub mod detect_sync {
    include!(concat!(env!("OUT_DIR"), "/detect_sync_skel.rs"));
}
