//! Regions of countries by their ISO 3166-2 code, without the country prefix: `CA` of the United States.

use rust_iso3166::iso3166_2::{SUBDIVISION_COUNTRY_MAP, Subdivision};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Regions that an error lists.
const MAX_LISTED: usize = 60;

/// The regions of a country; none where ISO 3166-2 has none.
fn regions(country: &str) -> &'static [Subdivision] {
    SUBDIVISION_COUNTRY_MAP.get(country).copied().unwrap_or_default()
}

/// The code without the country.
fn bare(region: &Subdivision) -> &'static str {
    region.code.split_once('-').map_or(region.code, |(_, bare)| bare)
}

/// The regions of a country that a text may mean: one by its code, with or without the country; else those with that
/// name, which may be several. Case, accents and punctuation in names are ignored.
pub fn meant(country: &str, text: &str) -> Vec<&'static str> {
    let text = text.trim();
    let code = text.to_ascii_uppercase();
    let code = code.strip_prefix(country).and_then(|rest| rest.strip_prefix(['-', ' '])).unwrap_or(&code);
    if let Some(known) = regions(country).iter().find(|region| bare(region) == code) {
        return vec![bare(known)];
    }
    let wanted = folded(text);
    let is_called = |region: &&Subdivision| {
        let names = std::iter::once(region.name).chain(region.name.split(['[', ']', '/', '(', ')', ',']));
        names.map(folded).any(|name| !name.is_empty() && name == wanted)
    };
    regions(country).iter().filter(is_called).map(bare).collect()
}

/// A name in its form for comparisons.
fn folded(name: &str) -> String {
    let letters = name.nfkd().filter(|c| !is_combining_mark(*c) && c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// The code of the region of a country that a text means, the first of several; or a message.
pub fn region(country: &str, text: &str) -> Result<String, String> {
    meant(country, text).first().map(|code| (*code).to_owned()).ok_or_else(|| unknown(country, text))
}

fn unknown(country: &str, text: &str) -> String {
    let text: String = text.trim().chars().take(40).collect();
    let known = regions(country);
    let Some(first) = known.first() else { return format!("{country} has no regions in ISO 3166-2; got \"{text}\"") };
    let wanted =
        format!("must be an ISO 3166-2 region of {country}, such as {} ({}); got \"{text}\"", bare(first), first.name);
    if known.len() > MAX_LISTED {
        return wanted;
    }
    let codes: Vec<&str> = known.iter().map(bare).collect();
    format!("{wanted}. The codes are {}", codes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_understood_by_code_and_name_in_any_case() {
        for (country, text, code) in [
            ("US", "CA", "CA"),
            ("US", "ca", "CA"),
            ("US", " Ca ", "CA"),
            ("US", "US-CA", "CA"),
            ("US", "us-ca", "CA"),
            ("US", "US CA", "CA"),
            ("US", "California", "CA"),
            ("US", "CALIFORNIA", "CA"),
            ("US", "new york", "NY"),
            ("US", "District of Columbia", "DC"),
            ("CA", "Québec", "QC"),
            ("CA", "quebec", "QC"),
            ("CA", "British Columbia", "BC"),
            ("DE", "Baden-Württemberg", "BW"),
            ("DE", "baden wurttemberg", "BW"),
            ("BR", "São Paulo", "SP"),
            ("MX", "Ciudad de Mexico", "CMX"),
            ("AU", "New South Wales", "NSW"),
            ("IN", "Karnataka", "KA"),
            ("JP", "Tokyo", "13"),
            ("JP", "13", "13"),
            ("ES", "Santa Cruz de Tenerife", "TF"),
            ("IT", "Roma", "RM"),
            ("CH", "Zürich", "ZH"),
            ("AT", "Wien", "9"),
            ("GB", "Kent", "KEN"),
        ] {
            assert_eq!(region(country, text).as_deref(), Ok(code), "{country} {text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_says_what_there_is() {
        for (country, text) in [
            ("US", "Kalifornia"),
            ("US", "CAL"),
            ("US", ""),
            ("US", "-"),
            ("US", "CA-CA"),
            ("DE", "CA"),
            ("XK", "CA"),
            ("ZZ", "CA"),
        ] {
            assert!(region(country, text).is_err(), "{country} {text}");
        }
        let error = region("US", "Kalifornia").unwrap_err();
        assert!(error.contains("Kalifornia") && error.contains(", NY,"), "{error}");
    }

    #[test]
    fn a_name_that_two_regions_share_means_both() {
        for (name, codes) in [("Navarra", ["NA", "NC"]), ("Cantabria", ["CB", "S"]), ("Madrid", ["M", "MD"])] {
            let mut both = meant("ES", name);
            both.sort_unstable();
            assert_eq!(both, codes, "{name}");
        }
    }
}
