//! Amounts in Stripe's smallest units, which differ from ISO 4217 for a few currencies.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;

/// The number of decimal digits that Stripe's units of a currency have.
fn exponent(currency: Currency) -> u32 {
    match currency.code() {
        "ISK" | "UGX" => 2,
        "MGA" => 0,
        _ => currency.exponent(),
    }
}

/// The currency that Stripe names, in lower case.
pub(super) fn currency(code: &str) -> Option<Currency> {
    code.to_ascii_uppercase().parse().ok()
}

/// An amount in Stripe's units; `None` if it has more digits or is too large.
pub(super) fn units(amount: Amount, currency: Currency) -> Option<i64> {
    let factor = Decimal::from(10_i64.checked_pow(exponent(currency))?);
    let units = amount.0.checked_mul(factor)?;
    if units.fract().is_zero() { units.trunc().try_into().ok() } else { None }
}

/// The amount of a number of Stripe's units.
pub(super) fn amount(units: i64, currency: Currency) -> Option<Amount> {
    let amount = Amount(Decimal::try_new(units, exponent(currency)).ok()?);
    currency.exact(amount).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_converted_in_both_directions() {
        for (code, text, units_of) in [
            ("GBP", "19.90", 1990),
            ("JPY", "1500", 1500),
            ("KWD", "1.250", 1250),
            ("ISK", "100", 10_000),
            ("UGX", "500", 50_000),
        ] {
            let currency: Currency = code.parse().unwrap();
            let given: Amount = text.parse().unwrap();
            assert_eq!(units(given, currency), Some(units_of), "{code}");
            assert_eq!(amount(units_of, currency), Some(given), "{code}");
        }
        assert_eq!(units("0.001".parse().unwrap(), Currency::GBP), None);
    }
}
