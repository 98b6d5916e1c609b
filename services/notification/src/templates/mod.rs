//! Templates: minijinja with limits, so that merchants' templates use bounded time and memory.
//!
//! An undefined name fails to render, so that a typo is found when a template is saved; `if` may test for it. Text in
//! HTML parts is escaped.

pub(crate) mod builtin;
pub(crate) mod context;
pub(crate) mod sample;

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::kinds::{Channel, MessageKind};
use crate::records::StoredTemplate;

/// Instructions per part: an order with a thousand lines takes a tenth of it.
const FUEL: u64 = 1_000_000;
/// Maximum nesting of blocks, loops and includes.
const DEPTH: usize = 32;
/// Bytes of one rendered part.
const MAX_RENDERED: usize = 1 << 20;
/// Characters of a faulty line that are shown.
const SHOWN_CHARS: usize = 80;
/// Characters of a subject.
const SUBJECT_CHARS: usize = 200;

/// The source of a message's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) subject: String,
    /// Null for the inbox.
    pub(crate) html: Option<String>,
    pub(crate) text: String,
}

impl From<StoredTemplate> for Source {
    fn from(stored: StoredTemplate) -> Self {
        Self { subject: stored.subject, html: stored.html, text: stored.text }
    }
}

/// A rendered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

/// Why a template does not render, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `subject`, `html` or `text`.
    pub(crate) part: &'static str,
    /// The line in that part, from 1.
    pub(crate) line: Option<usize>,
    pub(crate) detail: String,
}

/// Renders with the layout and the parts that built-in templates share.
#[derive(Debug)]
pub(crate) struct Renderer(Environment<'static>);

impl Renderer {
    /// Fails if a shared part does not parse.
    pub(crate) fn new() -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(DEPTH);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        for (name, source) in builtin::SHARED {
            environment.add_template(name, source).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self(environment))
    }

    /// The error message of a template.
    pub(crate) fn render(&self, source: &Source, context: &Value) -> Result<Message, Fault> {
        let subject = one_line(&self.part("subject", "subject.txt", &source.subject, context)?);
        if subject.is_empty() {
            return Err(Fault { part: "subject", line: None, detail: "must not render to nothing".to_owned() });
        }
        let html = match &source.html {
            Some(html) => self.part("html", "message.html", html, context)?,
            None => String::new(),
        };
        let text = self.part("text", "message.txt", &source.text, context)?;
        Ok(Message { subject, html, text })
    }

    fn part(&self, part: &'static str, name: &str, source: &str, context: &Value) -> Result<String, Fault> {
        let mut rendered = Bounded(Vec::new());
        let done = self
            .0
            .template_from_named_str(name, source)
            .and_then(|template| template.render_captured_to(context.clone(), &mut rendered).map(drop));
        match done {
            Ok(()) => Ok(String::from_utf8_lossy(&rendered.0).into_owned()),
            Err(error) => Err(fault(part, name, source, &error)),
        }
    }
}

fn fault(part: &'static str, name: &str, source: &str, error: &minijinja::Error) -> Fault {
    let line = error.line().filter(|_| error.name() == Some(name));
    let mut detail = error.kind().to_string();
    if let Some(more) = error.detail() {
        detail = format!("{detail}: {more}");
    }
    if let Some(text) = line.and_then(|line| source.lines().nth(line.saturating_sub(1))) {
        let text: String = text.trim().chars().take(SHOWN_CHARS).collect();
        detail = format!("{detail} in \"{text}\"");
    }
    Fault { part, line, detail }
}

/// A text without control characters, so that it can be a header and cannot inject another.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SUBJECT_CHARS).collect()
}

/// A writer with a size limit.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED {
            return Err(io::Error::other(format!("must not render to more than {MAX_RENDERED} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every kind with each of its channels.
pub(crate) fn all() -> impl Iterator<Item = (MessageKind, Channel)> {
    MessageKind::ALL.iter().flat_map(|kind| kind.channels().iter().map(|channel| (*kind, *channel)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(subject: &str, html: &str, text: &str) -> Source {
        Source { subject: subject.to_owned(), html: Some(html.to_owned()), text: text.to_owned() }
    }

    #[test]
    fn every_built_in_template_renders_with_much_and_with_little() {
        let renderer = Renderer::new().unwrap();
        for (kind, channel) in all() {
            for context in sample::all(kind) {
                let context = context::value(&context);
                let message = renderer.render(&builtin::source(kind, channel), &context).unwrap();
                assert!(!message.text.trim().is_empty(), "{kind} {channel}");
                assert_eq!(message.html.is_empty(), channel == Channel::Inbox, "{kind} {channel}");
                assert!(!message.text.contains("none") && !message.html.contains("none"), "{kind} {channel}");
            }
        }
    }

    #[test]
    fn faults_name_the_part_and_the_line() {
        let renderer = Renderer::new().unwrap();
        let context = context::value(&sample::full(MessageKind::OrderConfirmed));
        for (source, part, line) in [
            (source("{{ order.nunber }}", "", ""), "subject", Some(1)),
            (source("ok", "a\nb\n{{ nobody }}", ""), "html", Some(3)),
            (source("ok", "a\n{% if %}", ""), "html", Some(2)),
            (source("ok", "", "x\n{{ order.number | nofilter }}"), "text", Some(2)),
            (source("{# nothing #}", "", ""), "subject", None),
            (source("ok", "{% include 'secrets.html' %}", ""), "html", Some(1)),
        ] {
            let fault = renderer.render(&source, &context).unwrap_err();
            assert_eq!((fault.part, fault.line), (part, line), "{fault:?}");
        }
    }

    #[test]
    fn a_greedy_template_is_stopped() {
        let renderer = Renderer::new().unwrap();
        let context = context::value(&sample::full(MessageKind::Welcome));
        for greedy in [
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ 'x' * 2000000 }}",
            "{% for a in range(900) %}{{ 'x' * 9999 }}{% endfor %}",
        ] {
            assert!(renderer.render(&source("ok", greedy, ""), &context).is_err(), "{greedy}");
        }
    }

    #[test]
    fn data_is_escaped_in_html_and_makes_no_second_header() {
        let renderer = Renderer::new().unwrap();
        let data = serde_json::json!({"name": "<b>Bob</b>\r\nBcc: all@example.com"});
        let message =
            renderer.render(&source("Hi {{ name }}", "{{ name }}", "{{ name }}"), &context::value(&data)).unwrap();
        assert_eq!(message.subject, "Hi <b>Bob</b> Bcc: all@example.com");
        assert!(message.html.contains("&lt;b&gt;Bob"));
    }
}
