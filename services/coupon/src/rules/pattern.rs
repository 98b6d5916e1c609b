//! Patterns: how the codes of a batch look, which code a number is, and how they are unguessable and yet come in key order.
//!
//! A pattern's free places make a number system whose digits sort as their bytes do, so numbers and codes have one order.
//! The numbers are cut into as many strata as codes are wanted; each code is a random number of its own stratum. So they
//! come sorted, none twice, and who knows all the others knows of one only its stratum: the chance of a guess is what it is
//! when all are drawn at random.

/// What a free place may be, in byte order: no 0, 1, I, O, U, which people mistake.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";
const BASE: u128 = LETTERS.len() as u128;
/// Free places at most: the numbers then fit with room to spare.
const MOST_FREE: usize = 20;
/// Characters of a pattern at most.
const LONGEST: usize = 40;
/// Codes that are possible for each that is made, at least.
const SPARSE: u128 = 1_000;

/// A place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Stands in the code as it is.
    Fixed(char),
    /// Is only written.
    Separator(char),
    /// A letter or digit of the code's own.
    Free,
}

/// How the codes of a batch look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    places: Vec<Place>,
    free: u32,
}

impl Pattern {
    /// Reads `SAVE-####-####`; the error is for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let places = text.trim().chars().map(place).collect::<Result<Vec<_>, _>>()?;
        let free = places.iter().filter(|place| **place == Place::Free).count();
        if places.len() > LONGEST || free == 0 || free > MOST_FREE {
            return Err(format!("a pattern must have up to {LONGEST} characters, 1 to {MOST_FREE} of them #"));
        }
        Ok(Self { places, free: u32::try_from(free).unwrap_or(0) })
    }

    /// How it is written down.
    pub(crate) fn text(&self) -> String {
        let character = |place: &Place| match place {
            Place::Fixed(c) | Place::Separator(c) => *c,
            Place::Free => '#',
        };
        self.places.iter().map(character).collect()
    }

    /// Refuses to make so many that a guess would be worth a try.
    pub(crate) fn check_room(&self, count: i64) -> Result<(), String> {
        if self.stratum(count) >= SPARSE {
            return Ok(());
        }
        Err(format!("{count} codes of this pattern could be guessed: add more #"))
    }

    /// How many numbers a stratum has when `count` codes are wanted.
    pub(crate) fn stratum(&self, count: i64) -> u128 {
        BASE.pow(self.free) / u128::from(count.max(1).unsigned_abs())
    }

    /// The code, in normal form, of one stratum: `draw` is random.
    pub(crate) fn code(&self, count: i64, ordinal: i64, draw: u128) -> String {
        let width = self.stratum(count).max(1);
        let mut number = u128::from(ordinal.unsigned_abs()) * width + draw % width;
        let mut digits = Vec::with_capacity(MOST_FREE);
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

    /// A code in normal form as the pattern writes it.
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
    fn the_alphabet_sorts_as_its_bytes() {
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
