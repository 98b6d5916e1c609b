//! Suggestions for mistyped names.

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
    if mistyped.is_empty() || mistyped.len() > MAX_LEN {
        return None;
    }
    // A typo changes at most a third of a name.
    let most = (mistyped.len() / 3).max(1);
    let distances = known.into_iter().map(|known| (distance(&mistyped, &letters(known)), known));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// What is compared of a name.
fn letters(name: &str) -> Vec<char> {
    name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// The number of letters to insert, remove, replace or exchange with their neighbour that turns one name into the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (line, letter) in (1..).zip(from) {
        let mut next = Vec::with_capacity(row.len());
        next.push(line);
        for (column, other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&row, column) + usize::from(letter != other);
            let changed = (at(&row, column + 1) + 1).min(at(&next, column) + 1);
            let neighbour = column.checked_sub(1).and_then(|before| to.get(before));
            let exchanged = match (neighbour, column.checked_sub(1)) {
                (Some(neighbour), Some(before)) if Some(other) == last && neighbour == letter => at(&above, before) + 1,
                _ => usize::MAX,
            };
            next.push(replaced.min(changed).min(exchanged));
        }
        last = Some(letter);
        above = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
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
