//! JSON pointers, RFC 6901.

use std::borrow::Cow;

/// A member's name as a part of a JSON pointer: `~` and `/` are escaped.
pub fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(name) }
}

/// The member's name that a part of a JSON pointer stands for.
pub(crate) fn unescaped(part: &str) -> Cow<'_, str> {
    if part.contains('~') { Cow::Owned(part.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_escapes() {
        for (name, part) in [("plain", "plain"), ("a/b", "a~1b"), ("~1", "~01"), ("~/", "~0~1"), ("", "")] {
            assert_eq!((escaped(name).as_ref(), unescaped(part).as_ref()), (part, name));
        }
    }
}
