//! Progress of long work, shown when somebody watches standard error.

use std::borrow::Cow;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// A bar over so many bytes; hidden when nobody watches.
pub(super) fn bytes(length: u64) -> ProgressBar {
    bar(length, "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar over so many things.
pub(super) fn items(length: u64, what: &'static str) -> ProgressBar {
    bar(length, "{bar:40} {pos}/{len} {msg} {eta}").with_message(what)
}

/// Bytes of which nobody knows how many there will be.
pub(super) fn stream() -> ProgressBar {
    spinner("{spinner} {bytes} {bytes_per_sec}", "")
}

/// Work of which nobody knows how long it takes.
pub(super) fn waiting(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    spinner("{spinner} {msg} {elapsed}", what)
}

fn spinner(template: &str, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner(), template).with_message(what);
    if !bar.is_hidden() {
        bar.enable_steady_tick(TURN);
    }
    bar
}

fn bar(length: u64, template: &str) -> ProgressBar {
    styled(ProgressBar::new(length), template)
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
