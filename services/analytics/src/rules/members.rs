//! The buyers of a bucket: a set of customers' numbers, in chunks, so that a union tells how many distinct ones there
//! are.
//!
//! Small sets are sorted lists, large ones bitmaps; which of the two follows from the set alone.

use std::collections::HashMap;

use promox_kernel::encoding::{Column, ColumnType};

/// Numbers per chunk.
const CHUNK: i64 = 32_768;
/// Larger sets are bitmaps.
const FEW: usize = 2_048;
/// 64-bit words per chunk.
const WORDS: usize = 512;

/// The chunk of a number, and its place there.
pub(crate) fn place(number: i64) -> (i64, u16) {
    (number.div_euclid(CHUNK), u16::try_from(number.rem_euclid(CHUNK)).unwrap_or(0))
}

/// A set of places in a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    Few(Vec<u16>),
    Many(Vec<u64>),
}

impl Default for Members {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

fn word(place: u16) -> (usize, u64) {
    (usize::from(place / 64), 1 << (place % 64))
}

fn bits(places: &[u16]) -> Vec<u64> {
    let mut words = vec![0; WORDS];
    places.iter().for_each(|place| set(&mut words, *place));
    words
}

fn set(words: &mut [u64], place: u16) {
    let (at, bit) = word(place);
    if let Some(word) = words.get_mut(at) {
        *word |= bit;
    }
}

fn ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

impl Members {
    /// The number of members.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Few(places) => places.len(),
            Self::Many(words) => ones(words),
        }
    }

    /// Adds or removes a place.
    pub(crate) fn mark(&mut self, place: u16, present: bool) {
        match self {
            Self::Few(places) => match (places.binary_search(&place), present) {
                (Err(at), true) => places.insert(at, place),
                (Ok(at), false) => drop(places.remove(at)),
                _ => {}
            },
            Self::Many(words) => {
                let (at, bit) = word(place);
                if let Some(word) = words.get_mut(at) {
                    *word = if present { *word | bit } else { *word & !bit };
                }
            }
        }
        self.settle();
    }

    /// Converts to the form for its size.
    fn settle(&mut self) {
        match self {
            Self::Few(places) if places.len() > FEW => *self = Self::Many(bits(places)),
            Self::Many(words) if ones(words) <= FEW => {
                let places = (0..=u16::MAX / 2).filter(|place| {
                    let (at, bit) = word(*place);
                    words.get(at).is_some_and(|word| word & bit != 0)
                });
                *self = Self::Few(places.collect());
            }
            _ => {}
        }
    }
}

impl Column for Members {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        match self {
            Self::Few(places) => {
                bytes.push(0);
                places.iter().for_each(|place| bytes.extend_from_slice(&place.to_le_bytes()));
            }
            Self::Many(words) => {
                bytes.push(1);
                words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
            }
        }
        bytes.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let bytes = Vec::<u8>::take(input)?;
        let (form, rest) = bytes.split_first()?;
        match form {
            0 => {
                let (places, left) = rest.as_chunks::<2>();
                left.is_empty().then(|| Self::Few(places.iter().map(|place| u16::from_le_bytes(*place)).collect()))
            }
            1 => {
                let (words, left) = rest.as_chunks::<8>();
                let whole = left.is_empty() && words.len() == WORDS;
                whole.then(|| Self::Many(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
            }
            _ => None,
        }
    }
}

/// A union of sets over all chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Union(HashMap<i64, Vec<u64>>);

impl Union {
    /// Adds the members of a chunk.
    pub(crate) fn add(&mut self, chunk: i64, members: &Members) {
        let words = self.0.entry(chunk).or_insert_with(|| vec![0; WORDS]);
        match members {
            Members::Few(places) => places.iter().for_each(|place| set(words, *place)),
            Members::Many(others) => words.iter_mut().zip(others).for_each(|(word, other)| *word |= other),
        }
    }

    /// Adds one number.
    pub(crate) fn insert(&mut self, number: i64) {
        let (chunk, place) = place(number);
        self.add(chunk, &Members::Few(vec![place]));
    }

    /// The number of distinct members.
    pub(crate) fn count(&self) -> i64 {
        i64::try_from(self.0.values().map(|words| ones(words)).sum::<usize>()).unwrap_or(i64::MAX)
    }
}
