//! What the parser says of a value that it cannot read, in the words of those who write settings.

use promox_kernel::did_you_mean;

/// A message of serde in plain words. With `is_secret` it does not contain the value.
pub(super) fn plain(message: &str, is_secret: bool) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let names = quoted(rest);
        let (given, known) = names.split_first().map_or(("", [].as_slice()), |(given, known)| (*given, known));
        return format!("there is no member \"{given}\"{}", did_you_mean(given, known.iter().copied()));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let names = quoted(rest);
        let (given, known) = names.split_first().map_or(("", [].as_slice()), |(given, known)| (*given, known));
        let suggestion = did_you_mean(given, known.iter().copied());
        return format!("must be {}; got \"{given}\"{suggestion}", alternatives(known));
    }
    let typed = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((given, wanted)) = typed.and_then(|rest| rest.rsplit_once(", expected ")) {
        let got = if is_secret { String::new() } else { format!("; got {}", got(given)) };
        return format!("must be {}{got}", wanted_of(wanted));
    }
    match message {
        "invalid socket address syntax" => "must be an address and a port such as 127.0.0.1:8080".to_owned(),
        "invalid IP address syntax" => "must be an address such as 127.0.0.1".to_owned(),
        _ if is_secret => "cannot be read".to_owned(),
        other => other.to_owned(),
    }
}

/// The names in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => "another value".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What a value should be, of what serde calls it.
fn wanted_of(wanted: &str) -> String {
    let bits = |name: &str| name.strip_prefix('u').and_then(|bits| bits.parse::<u32>().ok());
    match wanted {
        "a string" | "a borrowed string" | "string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "path string" => "a path".to_owned(),
        "usize" | "u64" => "a whole number, 0 or more".to_owned(),
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => match bits(other).filter(|bits| *bits < 64) {
            Some(bits) => format!("a whole number from 0 to {}", (1_u64 << bits) - 1),
            None => other.to_owned(),
        },
    }
}

/// The value that was found, of what serde calls it.
fn got(given: &str) -> String {
    match given {
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => match (given.strip_prefix("string "), quoted(given).first()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(value)) => (*value).to_owned(),
            (None, None) => given.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_no_types_of_the_program() {
        for (message, wanted) in [
            ("invalid type: string \"9\", expected u32", "must be a whole number from 0 to 4294967295; got \"9\""),
            ("invalid value: integer `-1`, expected usize", "must be a whole number, 0 or more; got -1"),
            ("invalid type: integer `7`, expected a string", "must be a text; got 7"),
            ("invalid type: map, expected a sequence", "must be a list; got a table"),
            (
                "unknown variant `jsn`, expected `text` or `json`",
                "must be text or json; got \"jsn\": did you mean \"json\"?",
            ),
            (
                "unknown field `pth`, expected one of `path`, `host`",
                "there is no member \"pth\": did you mean \"path\"?",
            ),
            ("must be a network", "must be a network"),
        ] {
            assert_eq!(plain(message, false), wanted);
        }
        assert_eq!(plain("invalid type: integer `123456`, expected a string", true), "must be a text");
    }
}
