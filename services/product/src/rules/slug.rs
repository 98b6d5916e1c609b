//! Slugs: the names of products and categories in URLs.

use super::words;

/// Maximum bytes of a derived slug, which leaves room for a suffix.
const MAX_DERIVED_LEN: usize = 80;
/// Maximum bytes of a slug in a request.
const MAX_LEN: usize = 100;

/// The slug derived from a name, or `fallback` if the name has no words.
pub(crate) fn slug_of(name: &str, fallback: &str) -> String {
    let mut slug = String::new();
    for word in words(name) {
        let separator = usize::from(!slug.is_empty());
        if slug.len() + separator + word.len() > MAX_DERIVED_LEN {
            break;
        }
        if separator == 1 {
            slug.push('-');
        }
        slug.push_str(&word);
    }
    if slug.is_empty() { fallback.to_owned() } else { slug }
}

/// Validates the slug in a request: words of lower-case letters and digits with hyphens between them.
pub(crate) fn check_slug(slug: &str) -> Result<String, String> {
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() && !c.is_uppercase());
    if slug.len() > MAX_LEN || !slug.split('-').all(is_word) {
        return Err(format!("must be at most {MAX_LEN} lower-case letters and digits, with hyphens between words"));
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
        assert!(slug_of(&"abcdefghi ".repeat(30), "product").len() <= MAX_DERIVED_LEN);
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
