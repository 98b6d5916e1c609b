//! Progress bars of long commands, shown when standard error is a terminal.

use std::borrow::Cow;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// A bar over a number of bytes.
pub(super) fn bytes(length: u64) -> ProgressBar {
    bar(length, "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar over a number of items.
pub(super) fn items(length: u64, label: &'static str) -> ProgressBar {
    bar(length, "{bar:40} {pos}/{len} {msg} {eta}").with_message(label)
}

/// A spinner that counts bytes when their total is unknown.
pub(super) fn stream() -> ProgressBar {
    spinner("{spinner} {bytes} {bytes_per_sec}", "")
}

/// A spinner for work of unknown length.
pub(super) fn waiting(label: impl Into<Cow<'static, str>>) -> ProgressBar {
    spinner("{spinner} {msg} {elapsed}", label)
}

fn spinner(template: &str, label: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner(), template).with_message(label);
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
