//! Randomness: from the operating system, or a seeded stream that tests can repeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The source of all randomness. Cheap to clone; clones share the stream.
#[derive(Clone, Debug)]
pub struct Entropy(Option<Arc<AtomicU64>>);

impl Entropy {
    /// The operating system's generator, suitable for keys and tokens.
    pub fn system() -> Self {
        Self(None)
    }

    /// A repeatable stream for tests. A server must not use it.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            None => system_fill(&mut bytes),
            Some(state) => {
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(state).to_le_bytes();
                    chunk.iter_mut().zip(word).for_each(|(byte, random)| *byte = random);
                }
            }
        }
        bytes
    }

    /// A uniform number below `bound`, or 0 for a bound of 0. It is computed by multiplication: the bias is below 2⁻³²
    /// for bounds under 2³².
    pub fn below(&self, bound: u64) -> u64 {
        scaled(u64::from_le_bytes(self.bytes()), bound)
    }

    /// An unguessable token of 256 bits in base64url.
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// A code of `length` letters and digits that is easy to read aloud: it has no 0, 1, I, O or U. Each of the 31
    /// possible characters adds 4.95 bits.
    pub fn code(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";
        let letter = |word| ALPHABET.get(usize::try_from(scaled(word, ALPHABET.len() as u64)).ok()?);
        self.words(length).into_iter().filter_map(letter).map(|byte| char::from(*byte)).collect()
    }

    /// Random numbers, in one call of the operating system's generator.
    fn words(&self, count: usize) -> Vec<u64> {
        match &self.0 {
            None => {
                let mut bytes = vec![0; count * 8];
                system_fill(&mut bytes);
                bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
            }
            Some(state) => (0..count).map(|_| split_mix(state)).collect(),
        }
    }
}

/// The part of `bound` that a random number is of all numbers.
fn scaled(word: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(word) * u128::from(bound)) >> 64).unwrap_or(0)
}

#[allow(clippy::disallowed_methods, reason = "this is the edge where randomness enters")]
fn system_fill(bytes: &mut [u8]) {
    let filled = aws_lc_rs::rand::fill(bytes);
    assert!(filled.is_ok(), "the operating system provides no randomness");
}

/// The next number of `SplitMix64` (Steele, Lea and Flood, 2014).
fn split_mix(state: &AtomicU64) -> u64 {
    let seed = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
