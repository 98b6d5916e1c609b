//! Countries by their ISO 3166-1 code of two letters.

use std::str::FromStr as _;

use serde::Deserialize as _;
use serde::de::Deserializer;

/// A territory with customers whose widely used code is not assigned by ISO: Kosovo.
const IN_USE: &str = "XK";

/// The code in capital letters, or a message.
pub fn country(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    if code.len() == 2 && (code == IN_USE || iso_country::Country::from_str(&code).is_ok()) {
        return Ok(code);
    }
    Err("must be an ISO 3166-1 country code of two letters, such as GB".to_owned())
}

/// Reads a code and capitalises it; [`country`] validates it. For serde's `deserialize_with`.
pub fn capital<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|code| code.trim().to_ascii_uppercase())
}

/// Reads a list of codes and capitalises them. For serde's `deserialize_with`.
pub fn capitals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let codes = Vec::<String>::deserialize(deserializer)?;
    Ok(codes.into_iter().map(|code| code.trim().to_ascii_uppercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_taken_in_any_case_and_only_those_there_are() {
        for (text, code) in [("GB", "GB"), ("gb", "GB"), (" Fr ", "FR"), ("xk", "XK"), ("SS", "SS")] {
            assert_eq!(country(text).as_deref(), Ok(code), "{text}");
        }
        for bad in ["", "UK", "XX", "ZZ", "GBR", "G", "G B", "é", "12", "**"] {
            assert!(country(bad).is_err(), "{bad}");
        }
    }
}
