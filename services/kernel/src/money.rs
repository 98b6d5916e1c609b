//! Money: exact decimals, ISO 4217 currencies and one rounding rule. No floats.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

/// The largest absolute amount, 10^18: sums of such amounts fit the 96 bits of a decimal.
const MAX_AMOUNT: Decimal = Decimal::from_parts(0xA764_0000, 0x0DE0_B6B3, 0, false, 0); // 10^18
/// The largest amount in minor units, 10^18: a product of two fits 128 bits.
const MAX_MINOR_UNITS: u64 = 1_000_000_000_000_000_000;

/// An ISO 4217 currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Pound sterling, the currency of the sample shop.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);

    /// The three-letter code, such as `"GBP"`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of digits after the decimal point: 2 for GBP, 0 for JPY, 3 for KWD. Codes without an exponent get 2.
    pub fn exponent(self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(2))
    }

    /// Rounds a value half-up (away from zero at the midpoint) to this currency's scale.
    pub fn round(self, value: Decimal) -> Amount {
        let mut rounded = round_half_up(value, self.exponent());
        rounded.rescale(self.exponent());
        Amount(rounded)
    }

    /// Rounds a value towards zero to this currency's scale: for amounts that must not exceed the exact value.
    pub fn round_down(self, value: Decimal) -> Amount {
        let mut rounded = value.round_dp_with_strategy(self.exponent(), RoundingStrategy::ToZero);
        rounded.rescale(self.exponent());
        Amount(rounded)
    }

    /// Zero in this currency's scale: `0.00` for GBP.
    pub fn zero(self) -> Amount {
        self.round(Decimal::ZERO)
    }

    /// The smallest unit of this currency: `0.01` for GBP.
    pub fn minor_unit(self) -> Amount {
        Amount(Decimal::new(1, self.exponent()))
    }

    /// Validates an amount from a client and returns it in this currency's scale. It is never rounded: an amount with
    /// more digits than the currency, or of more than 10^18 minor units, is an error, which is a message for humans.
    pub fn exact(self, amount: Amount) -> Result<Amount, String> {
        if self.round(amount.0).0 == amount.0 {
            let in_range = self.minor_units(amount).map(|_| self.round(amount.0));
            in_range.ok_or_else(|| "must be at most 10^18 in the currency's smallest unit".to_owned())
        } else {
            Err(format!("{} allows at most {} digits after the point", self.code(), self.exponent()))
        }
    }

    /// An amount in whole minor units; `None` if it has more digits than the currency or exceeds 10^18 minor units.
    pub fn minor_units(self, amount: Amount) -> Option<i64> {
        let value = amount.0;
        let (scale, digits) = (value.scale(), self.exponent());
        let minor = if scale <= digits {
            value.mantissa().checked_mul(10_i128.pow(digits - scale))?
        } else {
            let divisor = 10_i128.checked_pow(scale - digits)?;
            (value.mantissa() % divisor == 0).then_some(value.mantissa() / divisor)?
        };
        i64::try_from(minor).ok().filter(|minor| minor.unsigned_abs() <= MAX_MINOR_UNITS)
    }
}

impl FromStr for Currency {
    type Err = String;
    fn from_str(code: &str) -> Result<Self, String> {
        iso_currency::Currency::from_code(code)
            .map(Self)
            .ok_or_else(|| format!("must be an ISO 4217 currency code; got \"{code}\""))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(d)?;
        code.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Z]{3}$", "example": "GBP"})
    }
}

/// A decimal amount of money, in JSON a string such as `"19.90"`.
///
/// It is parsed from a string or a JSON number, digit for digit. It has no currency of its own: the record or reply
/// that contains it names the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub Decimal);

impl Amount {
    /// Zero.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.0.is_sign_negative() && !self.0.is_zero()
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The amount multiplied by a quantity; `None` if the product exceeds 10^18.
    pub fn times(self, quantity: i64) -> Option<Self> {
        let product = self.0.checked_mul(Decimal::from(quantity))?;
        (product.abs() <= MAX_AMOUNT).then_some(Self(product))
    }

    /// The sum of two amounts; `None` if it exceeds 10^18.
    pub fn plus(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        (sum.abs() <= MAX_AMOUNT).then_some(Self(sum))
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl Neg for Amount {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}
impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}
impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if is_plain(text) { Self::from_plain(text) } else { Err(not_an_amount(text)) }
    }
}

/// Whether a text has only digits, with an optional minus sign and an optional decimal point. `1_000`, `+1` and `1e3`
/// are more likely typing errors than prices.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    unsigned.split_once('.').map_or(digits(unsigned), |(whole, part)| digits(whole) && digits(part))
}

/// The most digits before the decimal point of an amount.
const MAX_WHOLE: usize = 19;

fn not_an_amount(text: &str) -> String {
    format!("must be a decimal amount; got \"{}\"", text.chars().take(40).collect::<String>())
}

fn too_large() -> String {
    "must be at most 10^18".to_owned()
}

impl Amount {
    /// Parses a JSON number, which may have an exponent.
    fn from_number(digits: &str) -> Result<Self, String> {
        let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else { return Self::from_plain(digits) };
        match exponent.parse::<i32>() {
            Ok(_) => match Decimal::from_scientific(digits) {
                Ok(value) => Self::bounded(value),
                Err(_) if exponent.starts_with('-') => Err(too_precise(digits)),
                Err(_) => Err(too_large()),
            },
            Err(_) if mantissa.bytes().all(|byte| !(b'1'..=b'9').contains(&byte)) => Ok(Self::ZERO),
            Err(_) if exponent.starts_with('-') => Err(too_precise(digits)),
            Err(_) => Err(too_large()),
        }
    }

    /// Parses digits with an optional sign and point. Zeros at the end of the fraction do not count as digits.
    fn from_plain(text: &str) -> Result<Self, String> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.trim_start_matches(['-', '0']).len() > MAX_WHOLE {
            return Err(too_large());
        }
        let short = if fraction.is_empty() { text } else { text.trim_end_matches('0').trim_end_matches('.') };
        match Decimal::from_str_exact(text).or_else(|_| Decimal::from_str_exact(short)) {
            Ok(value) => Self::bounded(value),
            Err(_) => Err(too_precise(text)),
        }
    }

    fn bounded(value: Decimal) -> Result<Self, String> {
        if value.abs() <= MAX_AMOUNT { Ok(Self(value)) } else { Err(too_large()) }
    }
}

fn too_precise(shown: &str) -> String {
    format!("has more digits after the point than any currency; got \"{}\"", shown.chars().take(40).collect::<String>())
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(AmountVisitor)
    }
}

/// Reads strings, integers and, through the `arbitrary_precision` feature of `serde_json`, other numbers by their
/// digits.
struct AmountVisitor;

impl<'de> Visitor<'de> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal amount such as \"19.90\"")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
        Amount::from_number(&value.to_string()).map_err(E::custom)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Amount, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == "$serde_json::private::Number" => {
                Amount::from_number(&map.next_value::<String>()?).map_err(de::Error::custom)
            }
            _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        }
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "pattern": "^-?[0-9]+(\\.[0-9]+)?$", "example": "19.90"})
    }
}

/// The one rounding rule of promox: rounds half away from zero, to `digits` after the decimal point.
pub fn round_half_up(value: Decimal, digits: u32) -> Decimal {
    value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_have_whole_minor_units_in_every_scale() {
        for (code, text, minor) in [
            ("GBP", "19.9", Some(1990)),
            ("JPY", "500", Some(500)),
            ("KWD", "1.234", Some(1234)),
            ("GBP", "1.500", Some(150)),
            ("GBP", "1.005", None),
            ("GBP", "10000000000000000.01", None),
        ] {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(currency.minor_units(text.parse().unwrap()), minor, "{code} {text}");
        }
    }

    #[test]
    fn numbers_and_strings_are_read_digit_for_digit() {
        for (json, want) in [
            ("\"19.90\"", "19.90"),
            ("19.90", "19.90"),
            ("7", "7"),
            ("1e2", "100"),
            ("12345678901234567.89", "12345678901234567.89"),
        ] {
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap(), amount(want), "{json}");
        }
        let typos = ["\"1e2\"", "\"1_000\"", "\"+1\"", "\".5\"", "\"5.\"", "\"-\"", "\" 1\"", "\"--1\""];
        for (json, why) in [
            ("\"1.00000000000000000000000000001\"", "has more digits after the point"),
            ("1e-400", "has more digits after the point"),
            ("1e400", "must be at most 10^18"),
            ("\"99999999999999999999999999999999999999\"", "must be at most 10^18"),
            ("\"1000000000000000000.01\"", "must be at most 10^18"),
            ("\"1,5\"", "must be a decimal amount"),
        ] {
            let error = serde_json::from_str::<Amount>(json).unwrap_err().to_string();
            assert!(error.starts_with(why), "{json}: {error}");
        }
        let zeros = serde_json::from_str::<Amount>("\"1.50000000000000000000000000000000\"").unwrap();
        assert_eq!(zeros, amount("1.5"));
        for json in ["\"\"", "true", "\"1,5\"", "{}", "[]", "null", "\"NaN\"", "1e40"].into_iter().chain(typos) {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_amount_with_too_many_digits_is_refused() {
        assert_eq!(Currency::GBP.exact(amount("19.9")).unwrap().to_string(), "19.90");
        assert!(Currency::GBP.exact(amount("19.901")).is_err());
        let yen: Currency = "JPY".parse().unwrap();
        assert!(yen.exact(amount("19.9")).is_err());
        assert_eq!(yen.exact(amount("19")).unwrap().to_string(), "19");
    }

    #[test]
    fn an_exact_amount_fits_its_minor_units() {
        let largest = amount("10000000000000000.00");
        assert_eq!(Currency::GBP.exact(largest).unwrap(), largest);
        assert_eq!(Currency::GBP.minor_units(largest), Some(1_000_000_000_000_000_000));
        for beyond in ["10000000000000000.01", "999999999999999999.99", "-92233720368547758.08"] {
            assert!(Currency::GBP.exact(amount(beyond)).is_err(), "{beyond}");
        }
    }

    #[test]
    fn the_largest_amount_is_ten_to_the_eighteenth() {
        assert_eq!(MAX_AMOUNT.to_string(), "1000000000000000000");
    }
}
