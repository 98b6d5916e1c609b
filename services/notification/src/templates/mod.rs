//! Templates: minijinja with limits on time and memory, because merchants write templates.
//!
//! An undefined name is an error, so that a typo is found when a template is saved; only `if` may test for one. Values
//! are escaped in HTML parts.
//!
//! Each text has a language, which the layout states and in which the [`filters`] write amounts and dates.

pub(crate) mod builtin;
pub(crate) mod context;
pub(crate) mod filters;
pub(crate) mod sample;
mod source;

use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use parking_lot::Mutex;
use promox_kernel::{Bounded, Language, Locale};

use crate::kinds::{Channel, MessageKind};
use crate::templates::context::Members;
pub(crate) use crate::templates::source::Source;

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

/// A source, and how its text is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wording {
    pub(crate) source: Source,
    /// The language of the text.
    pub(crate) language: Locale,
    /// How amounts and dates are written: the language with the region of the recipient, if known.
    pub(crate) locale: Locale,
}

impl Wording {
    /// A source in `language` for a recipient with these `locales`, the preferred ones first.
    pub(crate) fn new(source: Source, language: Locale, locales: &[Locale]) -> Self {
        let spoken = locales.iter().find(|locale| locale.language() == language.language());
        let locale = if language.region().is_some() { &language } else { spoken.unwrap_or(&language) }.clone();
        Self { source, language, locale }
    }

    /// The built-in template in a language.
    pub(crate) fn built_in(kind: MessageKind, channel: Channel, language: Language, locales: &[Locale]) -> Self {
        Self::new(builtin::source(kind, channel, language), language.locale(), locales)
    }
}

/// A rendered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The language of the text.
    pub(crate) language: Locale,
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
    /// The shared parts in each language, which a source's environment begins with.
    shared: Vec<(Language, Environment<'static>)>,
    parsed: Mutex<Bounded<(Language, Source), Arc<Environment<'static>>>>,
}

/// The parts of a source: how a fault calls them, and their names as templates. The ending says whether text is escaped.
const SUBJECT: (&str, &str) = ("subject", "subject.txt");
const HTML: (&str, &str) = ("html", "message.html");
const TEXT: (&str, &str) = ("text", "message.txt");

impl Renderer {
    /// Creates a renderer. The error names a shared part that does not parse.
    pub(crate) fn new() -> Result<Self, String> {
        let shared = Language::ALL.into_iter().map(|language| Ok((language, shared(language)?)));
        Ok(Self { shared: shared.collect::<Result<_, String>>()?, parsed: Mutex::new(Bounded::new(MAX_PARSED)) })
    }

    /// Renders a wording, or returns the fault of its first part that does not parse or render.
    pub(crate) fn render(&self, wording: &Wording, members: &Members) -> Result<Message, Fault> {
        let source = &wording.source;
        let environment = self.parsed(wording)?;
        let mut members = members.clone();
        members.insert("language".to_owned(), Value::from(wording.language.as_str()));
        members.insert(filters::LOCALE.to_owned(), Value::from(wording.locale.as_str()));
        let context = Value::from(members);
        let part = |part, source| render_part(&environment, part, source, &context);
        let subject = one_line(&part(SUBJECT, &source.subject)?);
        if subject.is_empty() {
            return Err(Fault { part: SUBJECT.0, line: None, detail: "must not render to nothing".to_owned() });
        }
        let html = source.html.as_ref().map(|html| part(HTML, html)).transpose()?.unwrap_or_default();
        let text = part(TEXT, &source.text)?;
        Ok(Message { language: wording.language.clone(), subject, html, text })
    }

    /// The parsed parts of a source, with those that all of its language share; English ones for other languages.
    fn parsed(&self, wording: &Wording) -> Result<Arc<Environment<'static>>, Fault> {
        let source = &wording.source;
        let key = (Language::of(&wording.language).unwrap_or(Language::English), source.clone());
        if let Some(known) = self.parsed.lock().get(&key) {
            return Ok(known);
        }
        let shared = self.shared.iter().find(|(language, _)| *language == key.0);
        let mut environment = shared.map(|(_, environment)| environment.clone()).unwrap_or_default();
        let html = source.html.as_ref().map(|html| (HTML, html));
        for (part, text) in [(SUBJECT, &source.subject)].into_iter().chain(html).chain([(TEXT, &source.text)]) {
            check_tags(part.0, text)?;
            let added = environment.add_template_owned(part.1, text.clone());
            added.map_err(|error| fault(part, text, &error))?;
        }
        let environment = Arc::new(environment);
        self.parsed.lock().put(key, environment.clone());
        Ok(environment)
    }
}

/// The environment of a language, with the parts that its templates share.
fn shared(language: Language) -> Result<Environment<'static>, String> {
    let mut shared = Environment::new();
    shared.set_fuel(Some(FUEL));
    shared.set_recursion_limit(MAX_DEPTH);
    shared.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    shared.set_syntax(syntax.map_err(|error| error.to_string())?);
    filters::add(&mut shared);
    for (name, source) in builtin::shared(language) {
        shared.add_template(name, source).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(shared)
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
        // What is written are texts, so the bytes are one.
        Ok(()) => String::from_utf8(rendered.0).map_err(|error| Fault {
            part: part.0,
            line: None,
            detail: format!("does not render to text: {error}"),
        }),
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

    fn wording(subject: &str, html: &str, text: &str) -> Wording {
        let source = Source { subject: subject.to_owned(), html: Some(html.to_owned()), text: text.to_owned() };
        Wording::new(source, Locale::english(), &[])
    }

    fn sample(kind: MessageKind) -> Members {
        context::json_members(&sample::full(kind))
    }

    #[test]
    fn every_built_in_template_renders_in_every_language_with_full_and_sparse_data() {
        let renderer = Renderer::new().unwrap();
        for ((kind, channel), language) in all().flat_map(|it| Language::ALL.map(|language| (it, language))) {
            for data in sample::all(kind) {
                let wording = Wording::built_in(kind, channel, language, &[]);
                let message = renderer.render(&wording, &context::json_members(&data)).unwrap();
                let name = format!("{kind} {channel} {language:?}");
                assert!(!message.text.trim().is_empty(), "{name}");
                assert_eq!(message.html.is_empty(), channel != Channel::Email, "{name}");
                assert!(!message.text.contains("none") && !message.html.contains("none"), "{name}");
                let page = format!("<html lang=\"{}\">", language.locale());
                assert_eq!(message.html.contains(&page), channel == Channel::Email, "{name}");
            }
        }
    }

    /// Words that English messages contain and German ones do not.
    const ENGLISH: &[&str] = &[
        "account",
        "address",
        "and",
        "any",
        "are",
        "completed",
        "confirm",
        "did",
        "discount",
        "for",
        "have",
        "hello",
        "is",
        "items",
        "left",
        "no",
        "not",
        "of",
        "on",
        "order",
        "ordered",
        "our",
        "password",
        "payment",
        "points",
        "received",
        "refund",
        "refunded",
        "sent",
        "set",
        "shipping",
        "subtotal",
        "tax",
        "thank",
        "the",
        "this",
        "to",
        "total",
        "until",
        "valid",
        "we",
        "will",
        "you",
        "your",
    ];

    /// The words of a text, without the tags of HTML and their attributes.
    fn words(text: &str) -> Vec<String> {
        let mut plain = String::new();
        for piece in text.split('<') {
            plain.push_str(piece.split_once('>').map_or(piece, |(_, after)| after));
            plain.push(' ');
        }
        plain.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect()
    }

    #[test]
    fn german_messages_have_no_english_words() {
        let renderer = Renderer::new().unwrap();
        for (kind, channel) in all() {
            let mut data = sample::full(kind);
            for (pointer, value) in [
                ("/store/name", "Musterladen"),
                ("/store/url", "https://laden.example"),
                ("/link", "https://laden.example/x"),
                ("/order/lines/0/name", "Teelicht"),
                ("/cart/lines/0/name", "Teelicht"),
                ("/cart/link", "https://laden.example/x"),
                ("/unsubscribe", "https://laden.example/y"),
                ("/tracking/carrier", "Post"),
            ] {
                if let Some(found) = data.pointer_mut(pointer) {
                    *found = value.into();
                }
            }
            let render = |language| {
                let wording = Wording::built_in(kind, channel, language, &[]);
                renderer.render(&wording, &context::json_members(&data)).unwrap()
            };
            let is_english = |word: &String| ENGLISH.contains(&word.as_str());
            let (german, english) = (render(Language::German), render(Language::English));
            assert_eq!((german.language.as_str(), english.language.as_str()), ("de", "en"));
            for (part, text) in [("subject", &german.subject), ("html", &german.html), ("text", &german.text)] {
                let found: Vec<String> = words(text).into_iter().filter(is_english).collect();
                assert!(found.is_empty(), "{kind} {channel} {part}: {found:?} in {text}");
                assert!(!text.contains("lang=\"en\""), "{kind} {channel} {part}");
            }
            let control = words(&english.text).iter().any(is_english);
            assert!(control, "the list has no word of {kind} {channel}: {}", english.text);
            assert!(!english.html.contains("lang=\"de\""), "{kind}");
        }
    }

    #[test]
    fn amounts_and_dates_are_written_for_the_recipient() {
        let renderer = Renderer::new().unwrap();
        let locale = |text: &str| text.parse::<Locale>().unwrap();
        let data = sample(MessageKind::OrderConfirmed);
        for (language, region, expected) in [
            (Language::English, "en-GB", ["£17.72", "23 November 2026"]),
            (Language::English, "en-US", ["£17.72", "November 23, 2026"]),
            (Language::German, "de", ["17,72\u{a0}£", "23. November 2026"]),
            (Language::German, "de-CH", ["£\u{a0}17.72", "23. November 2026"]),
            (Language::English, "fr", ["£17.72", "November 23, 2026"]),
        ] {
            let kind = MessageKind::OrderConfirmed;
            let wording = Wording::built_in(kind, Channel::Email, language, &[locale(region)]);
            let message = renderer.render(&wording, &data).unwrap();
            for part in expected {
                assert!(message.text.contains(part) && message.html.contains(part), "{region}: {}", message.text);
            }
            assert_eq!(message.language, language.locale(), "the text itself has no region");
        }
    }

    #[test]
    fn a_merchants_template_includes_the_parts_of_its_language() {
        let renderer = Renderer::new().unwrap();
        let html = "{% extends 'layout.html' %}{% block content %}{% include 'greeting.html' %}{% endblock %}";
        for (language, layout, greeting) in [
            ("de-CH", "<html lang=\"de-CH\">", "<p lang=\"de\">Guten Tag"),
            ("fr", "<html lang=\"fr\">", "<p lang=\"en\">Hello"),
        ] {
            let wording = Wording { language: language.parse().unwrap(), ..wording("ok", html, "ok") };
            let message = renderer.render(&wording, &sample(MessageKind::Welcome)).unwrap();
            assert!(message.html.contains(layout) && message.html.contains(greeting), "{}", message.html);
        }
    }

    #[test]
    fn faults_name_the_part_and_the_line() {
        let renderer = Renderer::new().unwrap();
        let context = sample(MessageKind::OrderConfirmed);
        for (faulty, part, line) in [
            (wording("{{ order.nunber }}", "", ""), "subject", Some(1)),
            (wording("ok", "a\nb\n{{ nobody }}", ""), "html", Some(3)),
            (wording("ok", "a\n{% if %}", ""), "html", Some(2)),
            (wording("ok", "", "x\n{{ order.number | nofilter }}"), "text", Some(2)),
            (wording("{# nothing #}", "", ""), "subject", None),
            (wording("ok", "{% include 'secrets.html' %}", ""), "html", Some(1)),
            (wording("ok", "{{ order.number|money(order.currency) }}", ""), "html", Some(1)),
            (wording("ok", "{{ order.number|date }}", ""), "html", Some(1)),
        ] {
            let fault = renderer.render(&faulty, &context).unwrap_err();
            assert_eq!((fault.part, fault.line), (part, line), "{fault:?}");
        }
    }

    #[test]
    fn a_template_that_exceeds_a_limit_is_stopped() {
        let renderer = Renderer::new().unwrap();
        let context = sample(MessageKind::Welcome);
        for greedy in [
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ 'x' * 2000000 }}",
            "{% for a in range(900) %}{{ 'x' * 9999 }}{% endfor %}",
            &format!("{{{{ {}1 }}}}", "-".repeat(16_000)),
            &format!("{{{{ {}1 }}}}", "1+".repeat(16_000)),
            &format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(5_000)),
        ] {
            assert!(renderer.render(&wording("ok", greedy, ""), &context).is_err(), "{greedy}");
        }
    }

    #[test]
    fn data_is_escaped_in_html_and_cannot_inject_a_header() {
        let renderer = Renderer::new().unwrap();
        let data = serde_json::json!({"name": "<b>Bob</b>\r\nBcc: all@example.com"});
        let wording = wording("Hi {{ name }}", "{{ name }}", "{{ name }}");
        let message = renderer.render(&wording, &context::json_members(&data)).unwrap();
        assert_eq!(message.subject, "Hi <b>Bob</b> Bcc: all@example.com");
        assert!(message.html.contains("&lt;b&gt;Bob"));
    }
}
