//! Countries by their two-letter ISO 3166-1 codes.

use std::str::FromStr as _;

use serde::Deserialize as _;
use serde::de::Deserializer;

/// The widely used code of Kosovo, which ISO has not assigned.
const KOSOVO: &str = "XK";

/// Validates a country code and returns it in capital letters. The error is a message for humans.
pub fn country(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    if code.len() == 2 && (code == KOSOVO || iso_country::Country::from_str(&code).is_ok()) {
        return Ok(code);
    }
    Err("must be a two-letter ISO 3166-1 country code such as GB".to_owned())
}

/// Deserialises a country code and capitalises it, for serde's `deserialize_with`. [`country`] validates it.
pub fn capital<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|code| code.trim().to_ascii_uppercase())
}

/// Deserialises a list of country codes and capitalises them, for serde's `deserialize_with`. [`country`] validates
/// them.
pub fn capitals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let codes = Vec::<String>::deserialize(deserializer)?;
    Ok(codes.into_iter().map(|code| code.trim().to_ascii_uppercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_accepted_in_any_case_and_others_refused() {
        for (text, code) in [("GB", "GB"), ("gb", "GB"), (" Fr ", "FR"), ("xk", "XK"), ("SS", "SS")] {
            assert_eq!(country(text).as_deref(), Ok(code), "{text}");
        }
        for bad in ["", "UK", "XX", "ZZ", "GBR", "G", "G B", "é", "12", "**"] {
            assert!(country(bad).is_err(), "{bad}");
        }
    }
}
