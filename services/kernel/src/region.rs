//! Regions of countries by their ISO 3166-2 codes without the country prefix, such as `CA` for California.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The maximum number of regions for which an error message lists the codes.
const MAX_LISTED: usize = 60;

/// The countries with regions, sorted by code. Each region is a line: its code without the country prefix, a tab, its name.
/// Written by the build script.
static REGIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/regions.rs"));

/// A region of a country.
#[derive(Clone, Copy)]
struct Region {
    /// Its code without the country prefix.
    code: &'static str,
    name: &'static str,
}

/// The regions of a country; none if ISO 3166-2 lists none.
fn regions(country: &str) -> impl Iterator<Item = Region> + Clone {
    let found = REGIONS.binary_search_by_key(&country, |(known, _)| known);
    let lines = found.ok().and_then(|at| REGIONS.get(at)).map_or("", |(_, lines)| lines);
    lines.lines().filter_map(|line| line.split_once('\t')).map(|(code, name)| Region { code, name })
}

/// The codes of the regions that a text may name: the region with that code, with or without the country prefix, or
/// else every region with that name. Case is ignored, and in names also accents and punctuation.
pub fn matching(country: &str, text: &str) -> Vec<&'static str> {
    let text = text.trim();
    let code = text.to_ascii_uppercase();
    let code = code.strip_prefix(country).and_then(|rest| rest.strip_prefix(['-', ' '])).unwrap_or(&code);
    if let Some(known) = regions(country).find(|region| region.code == code) {
        return vec![known.code];
    }
    let wanted = fold_name(text);
    let has_name = |region: &Region| {
        let names = std::iter::once(region.name).chain(region.name.split(['[', ']', '/', '(', ')', ',']));
        names.map(fold_name).any(|name| !name.is_empty() && name == wanted)
    };
    regions(country).filter(has_name).map(|region| region.code).collect()
}

/// The form of a name for comparisons: letters and digits only, in lower case and without accents.
fn fold_name(name: &str) -> String {
    let letters = name.nfkd().filter(|c| !is_combining_mark(*c) && c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// The code of the region that a text names, the first if several share the name. The error is a message for humans.
pub fn region(country: &str, text: &str) -> Result<String, String> {
    matching(country, text).first().map(|code| (*code).to_owned()).ok_or_else(|| unknown_region(country, text))
}

/// The message for a text that names no region of the country.
fn unknown_region(country: &str, text: &str) -> String {
    let text: String = text.trim().chars().take(40).collect();
    let Some(first) = regions(country).next() else {
        return format!("{country} has no regions in ISO 3166-2; got \"{text}\"");
    };
    let wanted =
        format!("must be an ISO 3166-2 region of {country}, such as {} ({}); got \"{text}\"", first.code, first.name);
    let codes: Vec<&str> = regions(country).map(|region| region.code).collect();
    if codes.len() > MAX_LISTED {
        return wanted;
    }
    format!("{wanted}. The codes are {}", codes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_found_by_code_or_name_in_any_case() {
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
    fn unknown_regions_are_refused_and_the_message_lists_the_codes() {
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
    fn a_name_that_two_regions_share_matches_both() {
        for (name, codes) in [("Navarra", ["NA", "NC"]), ("Cantabria", ["CB", "S"]), ("Madrid", ["M", "MD"])] {
            let mut both = matching("ES", name);
            both.sort_unstable();
            assert_eq!(both, codes, "{name}");
        }
    }
}
