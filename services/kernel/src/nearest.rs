//! Suggestions for mistyped names.

use strsim::osa_distance;

/// Returns `: did you mean "NAME"?` with the known name that is most similar to `name`, to end a message with; an empty
/// text if none is similar. Upper and lower case and the marks between words do not matter. Of equally similar names,
/// the first is suggested.
pub fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!(": did you mean \"{known}\"?"))
}

fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    /// Longer names are not compared.
    const MAX_LEN: usize = 64;
    let mistyped = letters(name);
    let length = mistyped.chars().count();
    if length == 0 || length > MAX_LEN {
        return None;
    }
    // A typo inserts, removes, replaces or exchanges at most a third of a name's letters.
    let most = (length / 3).max(1);
    let distances = known.into_iter().map(|known| (osa_distance(&mistyped, &letters(known)), known));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// What is compared of a name.
fn letters(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_suggested() {
        let known = ["sku", "quantity", "quantities", "unitPrice", "limits.enabled"];
        for (name, suggested) in [
            ("quantiy", Some("quantity")),
            ("quanttiy", Some("quantity")),
            ("Quantity", Some("quantity")),
            ("unit_price", Some("unitPrice")),
            ("limits.enabeld", Some("limits.enabled")),
            ("sk", Some("sku")),
            ("price", None),
            ("s", None),
            ("", None),
        ] {
            let expected = suggested.map_or_else(String::new, |known| format!(": did you mean \"{known}\"?"));
            assert_eq!(did_you_mean(name, known), expected, "{name}");
        }
    }
}
