//! Slugs: a product's or category's name in URLs.

use super::words;

/// Maximum length of a derived slug, which leaves room for a suffix.
const LONGEST_DERIVED: usize = 80;
/// Maximum length of a given slug.
const LONGEST: usize = 100;

/// The slug of a name; `otherwise` if it has no words.
pub(crate) fn slug_of(name: &str, otherwise: &str) -> String {
    let mut slug = String::new();
    for word in words(name) {
        let joint = usize::from(!slug.is_empty());
        if slug.len() + joint + word.len() > LONGEST_DERIVED {
            break;
        }
        if joint == 1 {
            slug.push('-');
        }
        slug.push_str(&word);
    }
    if slug.is_empty() { otherwise.to_owned() } else { slug }
}

/// Validates a given slug: words of lower-case letters and digits with hyphens between them.
pub(crate) fn check_slug(slug: &str) -> Result<String, String> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() && !c.is_uppercase());
    if slug.len() > LONGEST || !slug.split('-').all(part) {
        return Err(format!("must be at most {LONGEST} lower-case letters and digits, with hyphens between words"));
    }
    Ok(slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_words() {
        assert_eq!(slug_of("WHITE HANGING HEART T-LIGHT HOLDER", "product"), "white-hanging-heart-t-light-holder");
        assert_eq!(slug_of("!?", "product"), "product");
        assert!(slug_of(&"abcdefghi ".repeat(30), "product").len() <= LONGEST_DERIVED);
    }

    #[test]
    fn given_slugs_are_checked() {
        for good in ["a", "red-mug-2", "2024"] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "Red", "a b", "a/b"] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
