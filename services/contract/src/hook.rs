//! Hooks: questions to the merchant's own service while an order is priced and placed, and their answers.

use std::collections::{BTreeMap, HashSet};

use promox_kernel::{Amount, Currency, Email, Outgoing, Sku, bounded, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::HookId;
use crate::order::Totals;
pub use crate::settings::HookKind;

/// The maximum number of shipping methods of an answer.
const MAX_METHODS: usize = 20;
/// The maximum length of the code of a shipping method, in characters.
const MAX_CODE_LEN: usize = 64;
/// The maximum length of a name, in characters.
const MAX_NAME_LEN: usize = 200;
/// The maximum length of the reason of a rejection, in characters.
const MAX_MESSAGE_LEN: usize = 500;

/// The part of an address on which shipping and tax depend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookAddress {
    /// The country: ISO 3166-1, two letters.
    pub country: String,
    /// The region.
    pub region: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The city.
    pub city: String,
}

/// A line of goods in a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookLine {
    /// The SKU.
    pub sku: Sku,
    /// The number of units.
    pub quantity: u32,
    /// The tax class; null for a gift of a quote that is not offered any more.
    pub tax_class: Option<String>,
    /// The price of all units; after discounts, except in a question about shipping.
    pub amount: Amount,
}

/// A question to a hook.
#[allow(clippy::large_enum_variant, reason = "a question is asked once and not stored")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum HookQuestion {
    /// Asks for the tax.
    Tax(TaxQuestion),
    /// Asks for the shipping methods.
    ShippingRates(RatesQuestion),
    /// Asks whether the order may be placed.
    Validation(ValidationQuestion),
}

/// Asks for the tax of goods and shipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxQuestion {
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether the amounts include their tax.
    pub prices_include_tax: bool,
    /// The shipping address.
    pub address: HookAddress,
    /// The goods.
    pub lines: Vec<HookLine>,
    /// The cost of shipping after discounts.
    pub shipping: Amount,
}

/// Asks for the shipping methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatesQuestion {
    /// The currency of all amounts.
    pub currency: Currency,
    /// The shipping address.
    pub address: HookAddress,
    /// The goods, before discounts.
    pub lines: Vec<HookLine>,
}

/// Asks whether an order may be placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationQuestion {
    /// The currency of all amounts.
    pub currency: Currency,
    /// The buyer's e-mail address.
    pub email: Email,
    /// The shipping address.
    pub address: Option<HookAddress>,
    /// The goods.
    pub lines: Vec<HookLine>,
    /// The amounts of the order.
    pub totals: Totals,
    /// The shipping method.
    pub shipping_method: Option<String>,
    /// The payment method.
    pub payment_method: Option<String>,
    /// The sales channel.
    pub channel: Option<String>,
    /// The order's attributes.
    pub attributes: BTreeMap<String, String>,
}

/// The body of the request that asks a question.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookMessage<T> {
    /// The kind of the hook.
    #[serde(rename = "type")]
    pub kind: HookKind,
    /// Whether this is a test: nobody is buying anything.
    pub test: bool,
    /// The question.
    pub data: T,
}

/// An answer of a hook, read and validated. One member is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookAnswer {
    /// The tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxAnswer>,
    /// The shipping methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<RatesAnswer>,
    /// Whether the order may be placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationAnswer>,
}

/// The tax of goods and shipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxAnswer {
    /// The tax of each line, in the order of the question.
    pub lines: Vec<Amount>,
    /// The tax of shipping.
    pub shipping: Amount,
    /// The currency of the amounts. It may be left out; an answer in another currency than the question is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// The shipping methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatesAnswer {
    /// The methods; none if the goods cannot be shipped to the address.
    pub methods: Vec<HookRate>,
    /// The currency of the amounts. It may be left out; an answer in another currency than the question is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// A shipping method with its cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookRate {
    /// The code of the method.
    pub method: String,
    /// The display name.
    pub name: String,
    /// The cost.
    pub amount: Amount,
    /// The currency of the cost. It may be left out; an answer in another currency than the question is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// Whether an order may be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationAnswer {
    /// Whether it may.
    pub accepted: bool,
    /// The reason for the buyer if it may not, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The currency of the order. It may be left out; an answer in another currency than the question is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// The questions of a kind of hook and their answers, as a service that sends them declares them.
pub const fn outgoing(service: &'static str, kind: HookKind) -> Outgoing {
    match kind {
        HookKind::Tax => declared::<TaxQuestion, TaxAnswer>(service, kind),
        HookKind::ShippingRates => declared::<RatesQuestion, RatesAnswer>(service, kind),
        HookKind::Validation => declared::<ValidationQuestion, ValidationAnswer>(service, kind),
    }
}

const fn declared<Q: JsonSchema, A: JsonSchema>(service: &'static str, kind: HookKind) -> Outgoing {
    Outgoing::of::<HookMessage<Q>, Q>(service, kind.as_str()).answered_by::<A>()
}

impl HookQuestion {
    /// The kind of hook that answers this question.
    pub fn kind(&self) -> HookKind {
        match self {
            Self::Tax(_) => HookKind::Tax,
            Self::ShippingRates(_) => HookKind::ShippingRates,
            Self::Validation(_) => HookKind::Validation,
        }
    }

    /// The body of the request that asks it; `test` says that nobody is buying anything.
    pub fn body(&self, test: bool) -> Result<String, serde_json::Error> {
        let kind = self.kind();
        match self {
            Self::Tax(data) => serde_json::to_string(&HookMessage { kind, test, data }),
            Self::ShippingRates(data) => serde_json::to_string(&HookMessage { kind, test, data }),
            Self::Validation(data) => serde_json::to_string(&HookMessage { kind, test, data }),
        }
    }

    /// Reads and validates an answer. Unknown members are ignored; the error says what is wrong.
    pub fn read(&self, body: &[u8]) -> Result<HookAnswer, String> {
        match self {
            Self::Tax(question) => {
                let tax = Some(question.checked(parsed(body)?)?);
                Ok(HookAnswer { tax, ..HookAnswer::default() })
            }
            Self::ShippingRates(question) => {
                let rates = Some(question.checked(parsed(body)?)?);
                Ok(HookAnswer { rates, ..HookAnswer::default() })
            }
            Self::Validation(question) => {
                let mut validation: ValidationAnswer = parsed(body)?;
                check_currency(validation.currency, question.currency)?;
                // The message is for the buyer of a refused order; what else it says stays with the merchant.
                validation.message.take_if(|message| validation.accepted || message.is_empty());
                if let Some(message) = &validation.message {
                    bounded(message, 0, MAX_MESSAGE_LEN).map_err(|fault| format!("message {fault}"))?;
                }
                Ok(HookAnswer { validation: Some(validation), ..HookAnswer::default() })
            }
        }
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|fault| format!("the answer cannot be read: {fault}"))
}

/// An amount that is not negative and has no more digits than the currency.
fn exact(amount: Amount, currency: Currency, what: &str) -> Result<Amount, String> {
    let amount = currency.exact(amount).map_err(|fault| format!("{what} {fault}"))?;
    if amount.is_negative() || currency.minor_units(amount).is_none() {
        return Err(format!("{what} is negative or too large: {amount}"));
    }
    Ok(amount)
}

/// Refuses an answer that states another currency than the question.
fn check_currency(stated: Option<Currency>, asked: Currency) -> Result<(), String> {
    match stated.filter(|stated| *stated != asked) {
        None => Ok(()),
        Some(stated) => Err(format!("the answer is in {stated}, the question in {asked}")),
    }
}

impl TaxQuestion {
    fn checked(&self, answer: TaxAnswer) -> Result<TaxAnswer, String> {
        check_currency(answer.currency, self.currency)?;
        if answer.lines.len() != self.lines.len() {
            return Err(format!("the answer has {} lines, the question {}", answer.lines.len(), self.lines.len()));
        }
        let tax = |tax: Amount, of: Amount, what: &str| {
            let tax = exact(tax, self.currency, what)?;
            if self.prices_include_tax && tax > of {
                return Err(format!("{what} is {tax}, more than the amount of {of} that includes it"));
            }
            Ok(tax)
        };
        let lines =
            answer.lines.into_iter().zip(&self.lines).map(|(given, line)| tax(given, line.amount, "a line's tax"));
        Ok(TaxAnswer {
            lines: lines.collect::<Result<_, _>>()?,
            shipping: tax(answer.shipping, self.shipping, "the tax of shipping")?,
            currency: answer.currency,
        })
    }
}

impl RatesQuestion {
    fn checked(&self, answer: RatesAnswer) -> Result<RatesAnswer, String> {
        check_currency(answer.currency, self.currency)?;
        if answer.methods.len() > MAX_METHODS {
            return Err(format!("the answer has more than {MAX_METHODS} methods"));
        }
        let mut seen = HashSet::new();
        let mut methods = Vec::with_capacity(answer.methods.len());
        for given in answer.methods {
            bounded(&given.method, 1, MAX_CODE_LEN).map_err(|fault| format!("method {fault}"))?;
            bounded(&given.name, 1, MAX_NAME_LEN).map_err(|fault| format!("name {fault}"))?;
            check_currency(given.currency, self.currency)?;
            if !seen.insert(given.method.clone()) {
                return Err(format!("the method \"{}\" is given twice", given.method));
            }
            methods.push(HookRate { amount: exact(given.amount, self.currency, "an amount")?, ..given });
        }
        Ok(RatesAnswer { methods, currency: answer.currency })
    }
}

text_enum! {
    /// What became of a question.
    HookOutcome {
        /// The hook has answered.
        Answered = "ANSWERED",
        /// The hook has not answered as it should, and the store went on without it.
        Fallback = "FALLBACK",
    }
}

/// A question that was asked for an order, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookRecord {
    /// The hook.
    pub hook_id: HookId,
    /// The kind of the hook.
    pub kind: HookKind,
    /// The id of the message that asked (the header `webhook-id`).
    pub message: String,
    /// What became of it.
    pub outcome: HookOutcome,
    /// The answer; null if the hook has not answered.
    pub answer: Option<HookAnswer>,
}

/// Asks the store's hook of the question's kind. 503 `HOOK_UNAVAILABLE` if it has not answered as it should and its
/// fallback is to refuse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskHook {
    /// The question.
    pub question: HookQuestion,
}
operation! { AskHook => HookReply, "store.ask_hook", internal, "Asks a hook." }

/// The reply to [`AskHook`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookReply {
    /// The question's record; null if the store has no such hook any more.
    pub record: Option<HookRecord>,
}
json_reply!(HookReply);

/// A question like those of a checkout, for tests of a hook.
pub fn sample_question(kind: HookKind, currency: Currency) -> Option<HookQuestion> {
    let amount = currency.round(rust_decimal::Decimal::TEN);
    let line = HookLine { sku: "TEST".parse().ok()?, quantity: 1, tax_class: Some("STANDARD".to_owned()), amount };
    let country = "GB".to_owned();
    let address =
        HookAddress { country, region: None, postal_code: Some("SW1A 1AA".to_owned()), city: "London".to_owned() };
    let (lines, zero) = (vec![line], currency.zero());
    Some(match kind {
        HookKind::Tax => {
            HookQuestion::Tax(TaxQuestion { currency, prices_include_tax: false, address, lines, shipping: zero })
        }
        HookKind::ShippingRates => HookQuestion::ShippingRates(RatesQuestion { currency, address, lines }),
        HookKind::Validation => HookQuestion::Validation(ValidationQuestion {
            currency,
            email: "test@example.com".parse().ok()?,
            address: Some(address),
            lines,
            totals: Totals {
                subtotal: amount,
                discount: zero,
                shipping: zero,
                shipping_discount: zero,
                tax: zero,
                points_redeemed: 0,
                points_value: zero,
                total: amount,
            },
            shipping_method: None,
            payment_method: None,
            channel: None,
            attributes: BTreeMap::new(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(kind: HookKind, includes_tax: bool) -> HookQuestion {
        match sample_question(kind, Currency::GBP).unwrap() {
            HookQuestion::Tax(tax) => HookQuestion::Tax(TaxQuestion { prices_include_tax: includes_tax, ..tax }),
            other => other,
        }
    }

    #[test]
    fn only_the_refused_read_why() {
        let message = |body: &str| {
            let answer = question(HookKind::Validation, false).read(body.as_bytes()).unwrap();
            answer.validation.unwrap().message
        };
        assert_eq!(message(r#"{"accepted": false, "message": "No."}"#).as_deref(), Some("No."));
        assert_eq!(message(r#"{"accepted": false, "message": ""}"#), None);
        assert_eq!(message(r#"{"accepted": true, "message": "score 17"}"#), None);
    }

    #[test]
    fn only_answers_that_fit_their_question_are_read() {
        for (kind, body, valid) in [
            (HookKind::Tax, r#"{"lines": ["2.00"], "shipping": "0"}"#, true),
            (HookKind::Tax, r#"{"lines": ["2.00"], "shipping": "0", "more": 1}"#, true),
            (HookKind::Tax, r#"{"lines": [], "shipping": "0"}"#, false),
            (HookKind::Tax, r#"{"lines": ["2.001"], "shipping": "0"}"#, false),
            (HookKind::Tax, r#"{"lines": ["-2.00"], "shipping": "0"}"#, false),
            (HookKind::Tax, r#"{"lines": ["2.00"]}"#, false),
            (HookKind::Tax, r#"{"lines": ["2.00"], "shipping": "0", "currency": "GBP"}"#, true),
            (HookKind::Tax, r#"{"lines": ["2.00"], "shipping": "0", "currency": "EUR"}"#, false),
            (HookKind::Tax, r#"{"lines": ["2.00"], "shipping": "0", "currency": "pound"}"#, false),
            (HookKind::Tax, "garbage", false),
            (HookKind::ShippingRates, r#"{"methods": [], "currency": "USD"}"#, false),
            (
                HookKind::ShippingRates,
                r#"{"methods": [{"method": "A", "name": "A", "amount": "1.00", "currency": "USD"}]}"#,
                false,
            ),
            (HookKind::ShippingRates, r#"{"methods": []}"#, true),
            (HookKind::ShippingRates, r#"{"methods": [{"method": "A", "name": "A", "amount": "1.00"}]}"#, true),
            (HookKind::ShippingRates, r#"{"methods": [{"method": "", "name": "A", "amount": "1.00"}]}"#, false),
            (HookKind::ShippingRates, r#"{"methods": [{"method": "A", "name": "A", "amount": "-1.00"}]}"#, false),
            (HookKind::Validation, r#"{"accepted": false, "message": "No."}"#, true),
            (HookKind::Validation, r#"{"accepted": "yes"}"#, false),
            (HookKind::Validation, r#"{"accepted": true, "currency": "GBP"}"#, true),
            (HookKind::Validation, r#"{"accepted": true, "currency": "USD"}"#, false),
        ] {
            assert_eq!(question(kind, false).read(body.as_bytes()).is_ok(), valid, "{kind} {body}");
        }
        let twice = json!({"methods": [{"method": "A", "name": "A", "amount": "1"}, {"method": "A", "name": "B", "amount": "1"}]});
        assert!(question(HookKind::ShippingRates, false).read(twice.to_string().as_bytes()).is_err());
    }

    #[test]
    fn included_tax_is_part_of_its_amount() {
        let body = br#"{"lines": ["10.01"], "shipping": "0.00"}"#;
        assert!(question(HookKind::Tax, true).read(body).is_err());
        assert!(question(HookKind::Tax, false).read(body).is_ok());
    }

    #[test]
    fn the_body_says_what_is_asked() {
        let body: Value = serde_json::from_str(&question(HookKind::Tax, true).body(true).unwrap()).unwrap();
        assert_eq!(
            (&body["type"], &body["test"], &body["data"]["lines"][0]["amount"]),
            (&json!("TAX"), &json!(true), &json!("10.00"))
        );
    }
}
