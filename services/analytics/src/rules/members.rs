//! The buyers of a bucket: a set of customers' numbers in chunks, so that the distinct buyers of several buckets can be
//! counted.
//!
//! Small sets are sorted lists and large ones are bitmaps. The form depends only on the set, so that equal sets are
//! encoded as equal bytes.

use std::collections::HashMap;

use promox_kernel::encoding::{Column, ColumnType};

/// The number of customers per chunk.
const CHUNK_SIZE: i64 = 32_768;
/// The maximum size of a set that is stored as a list.
const MAX_LIST_LEN: usize = 2_048;
/// The number of 64-bit words of a bitmap.
const WORDS: usize = 512;

/// The chunk of a customer's number, and the number's offset in the chunk.
pub(crate) fn chunk_and_offset(number: i64) -> (i64, u16) {
    (number.div_euclid(CHUNK_SIZE), u16::try_from(number.rem_euclid(CHUNK_SIZE)).unwrap_or(0))
}

/// A set of offsets in one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    List(Vec<u16>),
    Bitmap(Vec<u64>),
}

impl Default for Members {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// The index of the word with the bit of an offset, and the bit.
fn word_and_bit(offset: u16) -> (usize, u64) {
    (usize::from(offset / 64), 1 << (offset % 64))
}

/// The bitmap of a list of offsets.
fn bitmap(offsets: &[u16]) -> Vec<u64> {
    let mut words = vec![0; WORDS];
    offsets.iter().for_each(|offset| set_bit(&mut words, *offset));
    words
}

/// Sets the bit of an offset in a bitmap.
fn set_bit(words: &mut [u64], offset: u16) {
    let (at, bit) = word_and_bit(offset);
    if let Some(word) = words.get_mut(at) {
        *word |= bit;
    }
}

fn count_ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

impl Members {
    /// The number of members.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::List(offsets) => offsets.len(),
            Self::Bitmap(words) => count_ones(words),
        }
    }

    /// Adds or removes an offset.
    pub(crate) fn mark(&mut self, offset: u16, present: bool) {
        match self {
            Self::List(offsets) => match (offsets.binary_search(&offset), present) {
                (Err(at), true) => offsets.insert(at, offset),
                (Ok(at), false) => drop(offsets.remove(at)),
                _ => {}
            },
            Self::Bitmap(words) => {
                let (at, bit) = word_and_bit(offset);
                if let Some(word) = words.get_mut(at) {
                    *word = if present { *word | bit } else { *word & !bit };
                }
            }
        }
        self.choose_form();
    }

    /// Converts the set to the form for its size.
    fn choose_form(&mut self) {
        match self {
            Self::List(offsets) if offsets.len() > MAX_LIST_LEN => *self = Self::Bitmap(bitmap(offsets)),
            Self::Bitmap(words) if count_ones(words) <= MAX_LIST_LEN => {
                let offsets = (0..=u16::MAX / 2).filter(|offset| {
                    let (at, bit) = word_and_bit(*offset);
                    words.get(at).is_some_and(|word| word & bit != 0)
                });
                *self = Self::List(offsets.collect());
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
            Self::List(offsets) => {
                bytes.push(0);
                offsets.iter().for_each(|offset| bytes.extend_from_slice(&offset.to_le_bytes()));
            }
            Self::Bitmap(words) => {
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
                let (offsets, left) = rest.as_chunks::<2>();
                left.is_empty().then(|| Self::List(offsets.iter().map(|offset| u16::from_le_bytes(*offset)).collect()))
            }
            1 => {
                let (words, left) = rest.as_chunks::<8>();
                let complete = left.is_empty() && words.len() == WORDS;
                complete.then(|| Self::Bitmap(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
            }
            _ => None,
        }
    }
}

/// The union of sets of customers, over all chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Union(HashMap<i64, Vec<u64>>);

impl Union {
    /// Adds the members of a chunk.
    pub(crate) fn add(&mut self, chunk: i64, members: &Members) {
        let words = self.0.entry(chunk).or_insert_with(|| vec![0; WORDS]);
        match members {
            Members::List(offsets) => offsets.iter().for_each(|offset| set_bit(words, *offset)),
            Members::Bitmap(others) => words.iter_mut().zip(others).for_each(|(word, other)| *word |= other),
        }
    }

    /// Adds one customer's number.
    pub(crate) fn insert(&mut self, number: i64) {
        let (chunk, offset) = chunk_and_offset(number);
        self.add(chunk, &Members::List(vec![offset]));
    }

    /// The number of distinct customers.
    pub(crate) fn count(&self) -> i64 {
        i64::try_from(self.0.values().map(|words| count_ones(words)).sum::<usize>()).unwrap_or(i64::MAX)
    }
}
