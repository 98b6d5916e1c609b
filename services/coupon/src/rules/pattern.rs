//! Patterns of the codes of batches, which make codes unguessable although they are generated in key order.
//!
//! The free places of a pattern are the digits of a number. The digits are ordered like their bytes, so numbers and
//! codes sort alike. The numbers are divided into as many strata as there are codes, and each code is a random number
//! in its own stratum. So codes are generated in order and without duplicates. An attacker who knows all other codes
//! only knows the stratum of the remaining one, so a guess has the same chance as if all codes were drawn at random.

/// The characters of a free place, in byte order. 0, 1, I, O and U are left out because they are easily confused.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";
const BASE: u128 = ALPHABET.len() as u128;
/// Maximum free places, so that numbers fit in 128 bits.
const MAX_FREE: usize = 20;
/// Maximum characters of a pattern.
const MAX_LEN: usize = 40;
/// Minimum number of possible codes for each code that is generated.
const MIN_CODES_PER_COUPON: u128 = 1_000;

/// A place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A fixed character of the code.
    Fixed(char),
    /// A separator, which is written but not part of the normal form.
    Separator(char),
    /// A random letter or digit.
    Free,
}

/// The pattern of a batch's codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    places: Vec<Place>,
    free: u32,
}

impl Pattern {
    /// Parses a pattern such as `SAVE-####-####`. The error is a message that describes the fault.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let places = text.trim().chars().map(place).collect::<Result<Vec<_>, _>>()?;
        let free = places.iter().filter(|place| **place == Place::Free).count();
        if places.len() > MAX_LEN || free == 0 || free > MAX_FREE {
            return Err(format!("a pattern must have up to {MAX_LEN} characters, 1 to {MAX_FREE} of them #"));
        }
        Ok(Self { places, free: u32::try_from(free).unwrap_or(0) })
    }

    /// The pattern as text.
    pub(crate) fn text(&self) -> String {
        let character = |place: &Place| match place {
            Place::Fixed(c) | Place::Separator(c) => *c,
            Place::Free => '#',
        };
        self.places.iter().map(character).collect()
    }

    /// Refuses a number of codes that is so large that codes could be guessed.
    pub(crate) fn check_unguessable(&self, count: i64) -> Result<(), String> {
        if self.stratum(count) >= MIN_CODES_PER_COUPON {
            return Ok(());
        }
        Err(format!("{count} codes of this pattern could be guessed: add more #"))
    }

    /// The size of a stratum for a batch of `count` codes.
    pub(crate) fn stratum(&self, count: i64) -> u128 {
        BASE.pow(self.free) / u128::from(count.max(1).unsigned_abs())
    }

    /// The code in normal form for the stratum `ordinal` of `count`. `draw` must be a random number.
    pub(crate) fn code(&self, count: i64, ordinal: i64, draw: u128) -> String {
        let width = self.stratum(count).max(1);
        let mut number = u128::from(ordinal.unsigned_abs()) * width + draw % width;
        let mut digits = Vec::with_capacity(MAX_FREE);
        for _ in 0..self.free {
            let digit = usize::try_from(number % BASE).unwrap_or(0);
            digits.extend(ALPHABET.get(digit).map(|byte| char::from(*byte)));
            number /= BASE;
        }
        let free = |place: &Place| match place {
            Place::Fixed(c) => Some(*c),
            Place::Separator(_) => None,
            Place::Free => digits.pop(),
        };
        self.places.iter().filter_map(free).collect()
    }

    /// Formats a code in normal form with the separators of the pattern.
    pub(crate) fn format(&self, normal: &str) -> String {
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
        assert!(ALPHABET.is_sorted());
    }

    #[test]
    fn patterns_are_parsed_and_formatted() {
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
        assert!(pattern.check_unguessable(10_000_000).is_ok());
        assert!(Pattern::parse("####").unwrap().check_unguessable(924).is_err());
    }

    proptest! {
        #[test]
        fn codes_are_generated_in_key_order_without_duplicates(
            draws in prop::collection::vec(any::<u128>(), 2..50),
            text in "[A-Z]{0,4}-?#{3,10}-?[0-9]{0,3}#{1,10}",
        ) {
            let pattern = Pattern::parse(&text).unwrap();
            let count = i64::try_from(draws.len()).unwrap();
            let codes: Vec<String> = (0..count).zip(&draws).map(|(i, draw)| pattern.code(count, i, *draw)).collect();
            prop_assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", codes);
            for code in &codes {
                prop_assert_eq!(&normal_code(&pattern.format(code)), code);
                prop_assert_eq!(pattern.format(code).len(), text.len());
            }
        }
    }
}
