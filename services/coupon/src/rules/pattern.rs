//! Patterns: how the codes of a batch look, and how they are both unguessable and generated in key order.
//!
//! The free places of a pattern are the digits of a number, ordered as their bytes, so numbers and codes sort alike.
//! The numbers are divided into as many strata as codes are wanted, and each code is a random number of its own
//! stratum. So codes come sorted and without duplicates, and whoever knows all others only knows the stratum of one:
//! the chance of a guess is the same as if all were drawn at random.

/// The characters of a free place, in byte order: without 0, 1, I, O and U, which people confuse.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";
const BASE: u128 = LETTERS.len() as u128;
/// Maximum free places; larger numbers would not fit.
const MAX_FREE: usize = 20;
/// Maximum characters of a pattern.
const LONGEST: usize = 40;
/// Minimum of possible codes for each that is generated.
const SPARSE: u128 = 1_000;

/// A place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A fixed character of the code.
    Fixed(char),
    /// A separator, which is only written.
    Separator(char),
    /// A random letter or digit.
    Free,
}

/// The form of a batch's codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    places: Vec<Place>,
    free: u32,
}

impl Pattern {
    /// Parses `SAVE-####-####`; the error is a message.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let places = text.trim().chars().map(place).collect::<Result<Vec<_>, _>>()?;
        let free = places.iter().filter(|place| **place == Place::Free).count();
        if places.len() > LONGEST || free == 0 || free > MAX_FREE {
            return Err(format!("a pattern must have up to {LONGEST} characters, 1 to {MAX_FREE} of them #"));
        }
        Ok(Self { places, free: u32::try_from(free).unwrap_or(0) })
    }

    /// The text form.
    pub(crate) fn text(&self) -> String {
        let character = |place: &Place| match place {
            Place::Fixed(c) | Place::Separator(c) => *c,
            Place::Free => '#',
        };
        self.places.iter().map(character).collect()
    }

    /// Refuses a number of codes so large that they could be guessed.
    pub(crate) fn check_room(&self, count: i64) -> Result<(), String> {
        if self.stratum(count) >= SPARSE {
            return Ok(());
        }
        Err(format!("{count} codes of this pattern could be guessed: add more #"))
    }

    /// The size of a stratum when `count` codes are wanted.
    pub(crate) fn stratum(&self, count: i64) -> u128 {
        BASE.pow(self.free) / u128::from(count.max(1).unsigned_abs())
    }

    /// The code, in normal form, of one stratum; `draw` is random.
    pub(crate) fn code(&self, count: i64, ordinal: i64, draw: u128) -> String {
        let width = self.stratum(count).max(1);
        let mut number = u128::from(ordinal.unsigned_abs()) * width + draw % width;
        let mut digits = Vec::with_capacity(MAX_FREE);
        for _ in 0..self.free {
            let digit = usize::try_from(number % BASE).unwrap_or(0);
            digits.extend(LETTERS.get(digit).map(|byte| char::from(*byte)));
            number /= BASE;
        }
        let free = |place: &Place| match place {
            Place::Fixed(c) => Some(*c),
            Place::Separator(_) => None,
            Place::Free => digits.pop(),
        };
        self.places.iter().filter_map(free).collect()
    }

    /// Writes a code in normal form as the pattern does.
    pub(crate) fn dress(&self, normal: &str) -> String {
        let mut rest = normal.chars();
        let character = |place: &Place| match place {
            Place::Separator(c) => Some(*c),
            Place::Fixed(_) | Place::Free => rest.next(),
        };
        self.places.iter().filter_map(character).collect()
    }
}

fn place(c: char) -> Result<Place, String> {
    match c {
        '#' => Ok(Place::Free),
        '-' | '_' | ' ' => Ok(Place::Separator(c)),
        _ if c.is_ascii_alphanumeric() => Ok(Place::Fixed(c.to_ascii_uppercase())),
        _ => Err(format!("a pattern must not contain {c:?}: letters, digits, -, _, spaces and # are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_contract::coupon::normal_code;
    use proptest::prelude::*;

    #[test]
    fn the_alphabet_sorts_by_its_bytes() {
        assert!(LETTERS.is_sorted());
    }

    #[test]
    fn patterns_are_read_and_written() {
        for (text, written) in [("save-####-####", "SAVE-####-####"), ("##########", "##########")] {
            assert_eq!(Pattern::parse(text).unwrap().text(), written);
        }
        for bad in ["", "SAVE", "SÄVE-####", "A/####", &"#".repeat(21), &"X".repeat(41)] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_must_have_room_for_its_codes() {
        let pattern = Pattern::parse("SAVE-####-####").unwrap();
        assert!(pattern.check_room(10_000_000).is_ok());
        assert!(Pattern::parse("####").unwrap().check_room(924).is_err());
    }

    proptest! {
        #[test]
        fn codes_come_in_key_order_and_none_twice(
            draws in prop::collection::vec(any::<u128>(), 2..50),
            text in "[A-Z]{0,4}-?#{3,10}-?[0-9]{0,3}#{1,10}",
        ) {
            let pattern = Pattern::parse(&text).unwrap();
            let count = i64::try_from(draws.len()).unwrap();
            let codes: Vec<String> = (0..count).zip(&draws).map(|(i, draw)| pattern.code(count, i, *draw)).collect();
            prop_assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", codes);
            for code in &codes {
                prop_assert_eq!(&normal_code(&pattern.dress(code)), code);
                prop_assert_eq!(pattern.dress(code).len(), text.len());
            }
        }
    }
}
