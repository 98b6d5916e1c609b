//! Pseudo-random numbers for scenarios with their own loop.

/// A generator of pseudo-random numbers. The same seed gives the same numbers, so that a failure can be repeated.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number from 0 up to, but not including, `sides`, which must not be 0.
    pub fn roll(&mut self, sides: usize) -> usize {
        // The multiplier and the increment are Knuth's (MMIX); the upper bits are the random ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
