//! Filters that write amounts, numbers and times in the language of the text: `{{ order.totals.total|money(order.currency) }}`,
//! `{{ points|number }}`, `{{ order.createdAt|date }}`, `{{ expiresAt|datetime }}`.

use std::borrow::Cow;
use std::fmt::Display;

use jiff::tz::TimeZone;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use promox_kernel::{Amount, Currency, Locale, Timestamp};

/// The name of the value that says how amounts and dates are written.
pub(crate) const LOCALE: &str = "locale";
/// The name of the value that says in which zone times are shown.
pub(crate) const TIMEZONE: &str = "timezone";

/// Adds the filters to an environment.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("money", money);
    environment.add_filter("number", number);
    environment.add_filter("date", |state: &State<'_, '_>, at: Value| {
        Ok::<_, Error>(locale(state).date(time(&at)?, &zone(state)))
    });
    environment.add_filter("datetime", |state: &State<'_, '_>, at: Value| {
        Ok::<_, Error>(locale(state).date_and_time(time(&at)?, &zone(state)))
    });
}

fn money(state: &State<'_, '_>, amount: Value, currency: Value) -> Result<String, Error> {
    let amount: Amount = text(&amount).parse().map_err(|error| fault("money", error))?;
    let currency: Currency = text(&currency).parse().map_err(|error| fault("money", error))?;
    Ok(locale(state).amount(amount, currency))
}

fn number(state: &State<'_, '_>, number: Value) -> Result<String, Error> {
    let number: i64 = text(&number).parse().map_err(|error| fault("number", error))?;
    Ok(locale(state).number(number))
}

fn time(at: &Value) -> Result<Timestamp, Error> {
    text(at).parse().map_err(|error| fault("date", error))
}

/// A value as text, which most already are.
fn text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

fn fault(filter: &str, error: impl Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{filter}: {error}"))
}

fn locale(state: &State<'_, '_>) -> Locale {
    let named = state.lookup(LOCALE).and_then(|value| text(&value).parse().ok());
    named.unwrap_or_else(Locale::english)
}

fn zone(state: &State<'_, '_>) -> TimeZone {
    let named = state.lookup(TIMEZONE).and_then(|value| TimeZone::get(&text(&value)).ok());
    named.unwrap_or(TimeZone::UTC)
}
