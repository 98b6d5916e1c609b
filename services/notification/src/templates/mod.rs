//! Templates: minijinja with limits on time and memory, because merchants write templates.
//!
//! An undefined name is an error, so that a typo is found when a template is saved; only `if` may test for one. Values
//! are escaped in HTML parts.

pub(crate) mod builtin;
pub(crate) mod context;
pub(crate) mod sample;

use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use parking_lot::Mutex;
use promox_kernel::Bounded;

use crate::kinds::{Channel, MessageKind};
use crate::records::StoredTemplate;

/// Maximum instructions per part; an order with a thousand lines takes a tenth of them.
const FUEL: u64 = 1_000_000;
/// Maximum nesting of blocks, loops and includes.
const MAX_DEPTH: usize = 32;
/// Maximum bytes of a rendered part.
const MAX_RENDERED: usize = 1 << 20;
/// Maximum characters of a faulty line that are shown.
const MAX_SHOWN_LEN: usize = 80;
/// Maximum characters of a subject.
const MAX_SUBJECT_LEN: usize = 200;
/// Maximum bytes of one tag: parsing recurses once per operator.
const MAX_TAG: usize = 1_000;
/// Maximum tags of a part: parsing recurses once per `elif`.
const MAX_TAGS: usize = 1_000;
/// Sources whose parts are kept parsed.
const MAX_PARSED: usize = 256;

/// The template source of each part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) subject: String,
    /// The HTML part; `None` for the inbox.
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
    /// The HTML part; empty for the inbox.
    pub(crate) html: String,
    pub(crate) text: String,
}

/// Why a template does not render, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The part: `subject`, `html` or `text`.
    pub(crate) part: &'static str,
    /// The line in that part, from 1.
    pub(crate) line: Option<usize>,
    pub(crate) detail: String,
}

/// Renders with the layout and the parts that built-in templates share. Parsing a source costs more than rendering it,
/// so the sources in use stay parsed.
#[derive(Debug)]
pub(crate) struct Renderer {
    /// The shared parts, which a source's environment begins with.
    shared: Environment<'static>,
    parsed: Mutex<Bounded<Source, Arc<Environment<'static>>>>,
}

/// The parts of a source: how a fault calls them, and their names as templates. The ending says whether text is escaped.
const SUBJECT: (&str, &str) = ("subject", "subject.txt");
const HTML: (&str, &str) = ("html", "message.html");
const TEXT: (&str, &str) = ("text", "message.txt");

impl Renderer {
    /// Creates a renderer. The error names a shared part that does not parse.
    pub(crate) fn new() -> Result<Self, String> {
        let mut shared = Environment::new();
        shared.set_fuel(Some(FUEL));
        shared.set_recursion_limit(MAX_DEPTH);
        shared.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        shared.set_syntax(syntax.map_err(|error| error.to_string())?);
        for (name, source) in builtin::SHARED {
            shared.add_template(name, source).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self { shared, parsed: Mutex::new(Bounded::new(MAX_PARSED)) })
    }

    /// Renders a source, or returns the fault of its first part that does not parse or render.
    pub(crate) fn render(&self, source: &Source, context: &Value) -> Result<Message, Fault> {
        let environment = self.parsed(source)?;
        let part = |part, source| render_part(&environment, part, source, context);
        let subject = one_line(&part(SUBJECT, &source.subject)?);
        if subject.is_empty() {
            return Err(Fault { part: SUBJECT.0, line: None, detail: "must not render to nothing".to_owned() });
        }
        let html = source.html.as_ref().map(|html| part(HTML, html)).transpose()?.unwrap_or_default();
        let text = part(TEXT, &source.text)?;
        Ok(Message { subject, html, text })
    }

    /// The parsed parts of a source, with those that all share.
    fn parsed(&self, source: &Source) -> Result<Arc<Environment<'static>>, Fault> {
        if let Some(known) = self.parsed.lock().get(source) {
            return Ok(known);
        }
        let mut environment = self.shared.clone();
        let html = source.html.as_ref().map(|html| (HTML, html));
        for (part, text) in [(SUBJECT, &source.subject)].into_iter().chain(html).chain([(TEXT, &source.text)]) {
            check_tags(part.0, text)?;
            let added = environment.add_template_owned(part.1, text.clone());
            added.map_err(|error| fault(part, text, &error))?;
        }
        let environment = Arc::new(environment);
        self.parsed.lock().put(source.clone(), environment.clone());
        Ok(environment)
    }
}

/// Refuses a part whose tags could exhaust the stack of the parser.
fn check_tags(part: &'static str, text: &str) -> Result<(), Fault> {
    let mut tags = 0;
    for (start, _) in text.match_indices("{{").chain(text.match_indices("{%")) {
        tags += 1;
        let tag = text.get(start..).unwrap_or_default();
        let length = tag.find("}}").into_iter().chain(tag.find("%}")).min().unwrap_or(tag.len());
        if length > MAX_TAG || tags > MAX_TAGS {
            let line = text.get(..start).map(|before| before.matches('\n').count() + 1);
            let detail = if length > MAX_TAG {
                format!("a tag must have at most {MAX_TAG} bytes")
            } else {
                format!("a part must have at most {MAX_TAGS} tags")
            };
            return Err(Fault { part, line, detail });
        }
    }
    Ok(())
}

fn render_part(
    environment: &Environment<'_>,
    part: (&'static str, &str),
    source: &str,
    context: &Value,
) -> Result<String, Fault> {
    let mut rendered = Rendered::default();
    let template = environment.get_template(part.1);
    match template.and_then(|template| template.render_captured_to(context.clone(), &mut rendered).map(drop)) {
        Ok(()) => Ok(String::from_utf8_lossy(&rendered.0).into_owned()),
        Err(error) => Err(fault(part, source, &error)),
    }
}

fn fault((part, name): (&'static str, &str), source: &str, error: &minijinja::Error) -> Fault {
    let line = error.line().filter(|_| error.name() == Some(name));
    let mut detail = error.kind().to_string();
    if let Some(more) = error.detail() {
        detail = format!("{detail}: {more}");
    }
    if let Some(text) = line.and_then(|line| source.lines().nth(line.saturating_sub(1))) {
        let text: String = text.trim().chars().take(MAX_SHOWN_LEN).collect();
        detail = format!("{detail} in \"{text}\"");
    }
    Fault { part, line, detail }
}

/// A text on one line, without control characters, so that it cannot inject a header.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT_LEN).collect()
}

/// A writer with a size limit.
#[derive(Default)]
struct Rendered(Vec<u8>);

impl io::Write for Rendered {
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
    fn every_built_in_template_renders_with_full_and_sparse_data() {
        let renderer = Renderer::new().unwrap();
        for (kind, channel) in all() {
            for context in sample::all(kind) {
                let context = context::value(&context);
                let message = renderer.render(&builtin::source(kind, channel), &context).unwrap();
                assert!(!message.text.trim().is_empty(), "{kind} {channel}");
                assert_eq!(message.html.is_empty(), channel != Channel::Email, "{kind} {channel}");
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
    fn a_template_that_exceeds_a_limit_is_stopped() {
        let renderer = Renderer::new().unwrap();
        let context = context::value(&sample::full(MessageKind::Welcome));
        for greedy in [
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ 'x' * 2000000 }}",
            "{% for a in range(900) %}{{ 'x' * 9999 }}{% endfor %}",
            &format!("{{{{ {}1 }}}}", "-".repeat(16_000)),
            &format!("{{{{ {}1 }}}}", "1+".repeat(16_000)),
            &format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(5_000)),
        ] {
            assert!(renderer.render(&source("ok", greedy, ""), &context).is_err(), "{greedy}");
        }
    }

    #[test]
    fn data_is_escaped_in_html_and_cannot_inject_a_header() {
        let renderer = Renderer::new().unwrap();
        let data = serde_json::json!({"name": "<b>Bob</b>\r\nBcc: all@example.com"});
        let message =
            renderer.render(&source("Hi {{ name }}", "{{ name }}", "{{ name }}"), &context::value(&data)).unwrap();
        assert_eq!(message.subject, "Hi <b>Bob</b> Bcc: all@example.com");
        assert!(message.html.contains("&lt;b&gt;Bob"));
    }
}
