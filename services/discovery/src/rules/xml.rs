//! XML as Eureka's clients send and read it, converted to and from JSON values.
//!
//! An element with text alone is a string. Any other is an object whose members are its child elements, its attributes with
//! `@` before their names, and its text as `$`; an element that occurs several times is an array. Document types and
//! entities other than the five predefined ones are refused, so a document cannot grow when it is read or name files.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Maximum nesting of elements.
const MAX_DEPTH: usize = 16;

/// An element whose end was not read yet.
struct Element {
    name: String,
    members: Map<String, Value>,
    text: String,
}

impl Element {
    fn into_value(mut self) -> Value {
        let text = self.text.trim();
        if self.members.is_empty() {
            return Value::String(text.to_owned());
        }
        if !text.is_empty() {
            self.members.insert("$".to_owned(), Value::String(text.to_owned()));
        }
        Value::Object(self.members)
    }

    fn add(&mut self, name: String, value: Value) {
        match self.members.get_mut(&name) {
            None => drop(self.members.insert(name, value)),
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

/// The rest of a document that is being read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn takes(&mut self, prefix: &str) -> bool {
        match self.0.strip_prefix(prefix) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// The text up to `end`, which is skipped.
    fn until(&mut self, end: &str) -> Result<&'a str, String> {
        let (text, rest) = self.0.split_once(end).ok_or_else(|| format!("\"{end}\" is missing"))?;
        self.0 = rest;
        Ok(text)
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self.0.find(|c: char| c.is_whitespace() || "/>=<\"'&".contains(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        if name.is_empty() { Err("a name is missing".to_owned()) } else { Ok(decode_name(name)) }
    }

    /// Reads attributes up to the end of a start tag. Returns whether the element ends there too.
    fn attributes(&mut self, element: &mut Element) -> Result<bool, String> {
        loop {
            self.skip_space();
            if self.takes("/>") {
                return Ok(true);
            }
            if self.takes(">") {
                return Ok(false);
            }
            let name = self.name()?;
            self.skip_space();
            if !self.takes("=") {
                return Err(format!("the attribute {name} has no value"));
            }
            self.skip_space();
            let quote = if self.takes("\"") {
                "\""
            } else if self.takes("'") {
                "'"
            } else {
                return Err(format!("the attribute {name} is not quoted"));
            };
            let value = unescape(self.until(quote)?)?;
            element.add(format!("@{name}"), Value::String(value));
        }
    }
}

/// Reads a document. Returns the name and the value of its element, or what is wrong.
pub(crate) fn parse(text: &str) -> Result<(String, Value), String> {
    let mut reader = Reader(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<(String, Value)> = None;
    while !reader.0.is_empty() {
        let finished = if reader.takes("<?") {
            reader.until("?>")?;
            None
        } else if reader.takes("<!--") {
            reader.until("-->")?;
            None
        } else if reader.takes("<![CDATA[") {
            let text = reader.until("]]>")?;
            open.last_mut().ok_or("text is outside of the element")?.text.push_str(text);
            None
        } else if reader.0.starts_with("<!") {
            return Err("document types and entities are not accepted".to_owned());
        } else if reader.takes("</") {
            let name = reader.name()?;
            reader.skip_space();
            let is_end = reader.takes(">");
            Some(open.pop().filter(|element| is_end && element.name == name).ok_or("an end tag does not match")?)
        } else if reader.takes("<") {
            if open.len() >= MAX_DEPTH || (open.is_empty() && root.is_some()) {
                return Err("there are too many elements".to_owned());
            }
            let mut element = Element { name: reader.name()?, members: Map::new(), text: String::new() };
            if reader.attributes(&mut element)? {
                Some(element)
            } else {
                open.push(element);
                None
            }
        } else {
            text_before_tag(&mut reader, &mut open)?;
            None
        };
        if let Some(element) = finished {
            let (name, value) = (element.name.clone(), element.into_value());
            match open.last_mut() {
                Some(parent) => parent.add(name, value),
                None => root = Some((name, value)),
            }
        }
    }
    root.filter(|_| open.is_empty()).ok_or_else(|| "an element is not closed".to_owned())
}

/// Reads text up to the next tag into the innermost element.
fn text_before_tag(reader: &mut Reader<'_>, open: &mut [Element]) -> Result<(), String> {
    let (text, rest) = reader.0.split_at(reader.0.find('<').unwrap_or(reader.0.len()));
    reader.0 = rest;
    match open.last_mut() {
        Some(element) => element.text.push_str(&unescape(text)?),
        None if text.trim().is_empty() => {}
        None => return Err("text is outside of the element".to_owned()),
    }
    Ok(())
}

fn unescape(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or("\"&\" must be written as &amp;")?;
        out.push(entity(name).ok_or_else(|| format!("the entity &{name}; is not accepted"))?);
        out.push_str(rest);
    }
    Ok(out)
}

fn entity(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Writes an element.
pub(crate) fn write(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| write(name, item, out)),
        Value::Object(members) => {
            let name = encode_name(name);
            let _ = write!(out, "<{name}");
            let attributes = members.iter().filter_map(|(key, value)| Some((key.strip_prefix('@')?, value)));
            for (attribute, value) in attributes {
                let _ = write!(out, " {}=\"", encode_name(attribute));
                write_text(value, out);
                out.push('"');
            }
            out.push('>');
            members.get("$").iter().for_each(|text| write_text(text, out));
            let children = members.iter().filter(|(key, _)| *key != "$" && !key.starts_with('@'));
            children.for_each(|(key, value)| write(key, value, out));
            let _ = write!(out, "</{name}>");
        }
        text => {
            let name = encode_name(name);
            let _ = write!(out, "<{name}>");
            write_text(text, out);
            let _ = write!(out, "</{name}>");
        }
    }
}

fn write_text(value: &Value, out: &mut String) {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// A name as XStream, which Eureka's servers use, writes it: `$` as `_-`, and any other character that a name cannot
/// contain as `_.` and its code in four hexadecimal digits.
fn encode_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.chars().enumerate() {
        let is_first = at == 0;
        match c {
            '$' => out.push_str("_-"),
            '_' => out.push('_'),
            c if c.is_ascii_alphabetic() || (!is_first && (c.is_ascii_digit() || matches!(c, '.' | '-'))) => {
                out.push(c);
            }
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "_.{unit:04x}");
                }
            }
        }
    }
    out
}

/// Reverses [`encode_name`].
fn decode_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        let code = after.strip_prefix('.').and_then(|digits| digits.get(..4));
        let decoded = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        rest = match (after.strip_prefix('-'), decoded) {
            (Some(after), _) => {
                out.push('$');
                after
            }
            (None, Some(c)) => {
                out.push(c);
                after.get(5..).unwrap_or_default()
            }
            (None, None) => {
                out.push('_');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_and_written() {
        let text = "<?xml version=\"1.0\"?><!-- x --><instance id='7'> <app>A &amp; B&#33;</app><port enabled=\"true\">80</port>\
                    <tag>1</tag><tag><![CDATA[<2>]]></tag><none/></instance>\n";
        let (name, value) = parse(text).unwrap();
        let expected = json!({
            "@id": "7", "app": "A & B!", "port": {"@enabled": "true", "$": "80"}, "tag": ["1", "<2>"], "none": "",
        });
        assert_eq!((name.as_str(), &value), ("instance", &expected));
        let mut written = String::new();
        write("instance", &value, &mut written);
        assert_eq!(parse(&written).unwrap().1, expected, "{written}");
    }

    #[test]
    fn malformed_and_dangerous_documents_are_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "</a>",
            "<a/><b/>",
            "<a b></a>",
            "<a b=c></a>",
            "<a b=\"></a>",
            "<a>&b;</a>",
            "<a>& </a>",
            "<a>&#xD800;</a>",
            "<!-- a",
            "<![CDATA[x]]>",
            "<>",
            "x<a/>",
            bomb,
            &deep,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_name_survives_as_an_element() {
        for name in ["management.port", "a b", "$x", "1st", "é", "user_id", "x-y", "a/b"] {
            let value = json!({ name: "v" });
            let mut written = String::new();
            write("metadata", &value, &mut written);
            assert_eq!(parse(&written).unwrap().1, value, "{written}");
        }
    }
}
