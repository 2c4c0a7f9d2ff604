//! Work that costs CPU time and nothing else, counted in loops.

use std::hint::black_box;

/// Runs `loops` dependent arithmetic steps.
#[inline(never)]
pub fn burn(loops: u64) {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..loops {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

/// A pseudo-random sequence that is the same in every run.
#[derive(Debug, Clone)]
pub struct Sequence(u64);

impl Sequence {
    /// Starts the sequence numbered `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(
            seed.wrapping_mul(2)
                .wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }

    /// The next value.
    pub fn next_value(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn a_sequence_repeats_for_its_seed_and_differs_between_seeds() {
        let values = |seed| {
            let mut sequence = Sequence::new(seed);
            [sequence.next_value(), sequence.next_value()]
        };
        assert_eq!(values(3), values(3));
        assert_ne!(values(3), values(4));
    }
}
