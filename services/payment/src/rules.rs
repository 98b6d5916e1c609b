//! The state machine of a payment, the choice of a provider, and the limits of refunds. No storage, no clock.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::payment::{CaptureAt, PaymentAction, PaymentChoice, PaymentStatus as Status};
use promox_kernel::{Amount, Currency, Error, FieldError, Timestamp};

use crate::records::{Attempt, Method, Payment, Provider};
use crate::reject;

/// Maximum attempts kept and shown on a payment.
const MAX_ATTEMPTS: usize = 20;
/// Maximum manual refunds of a payment.
pub(crate) const MAX_REFUNDS: usize = 500;
/// Maximum refunds of a payment: manual ones, as many of returns, and one for the end of the order.
pub(crate) const MAX_ALL_REFUNDS: usize = 2 * MAX_REFUNDS + 1;

/// An update about a charge: a provider's answer, its webhook, or no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderUpdate {
    /// The provider has accepted the charge and decides it later.
    Processing {
        reference: String,
    },
    Authorized {
        reference: String,
    },
    Captured {
        reference: String,
    },
    NeedsAction {
        reference: String,
        action: PaymentAction,
    },
    Declined {
        code: String,
    },
    Voided,
    /// No answer yet, or a manual payment that has not arrived.
    NoAnswer,
}

/// The status after an update; `None` if it changes nothing. Updates may arrive in any order: a capture is accepted
/// even after a decline or a void, and nothing is accepted after a capture.
pub(crate) fn next(status: Status, update: &ProviderUpdate) -> Option<Status> {
    let is_open = matches!(status, Status::Pending | Status::RequiresAction | Status::Processing);
    match (status, update) {
        (Status::Pending | Status::RequiresAction, ProviderUpdate::Processing { .. }) => Some(Status::Processing),
        (_, ProviderUpdate::Authorized { .. }) if is_open => Some(Status::Authorized),
        (_, ProviderUpdate::Captured { .. }) if is_open => Some(Status::Captured),
        (
            Status::Authorized | Status::PartiallyCaptured | Status::Voided | Status::Failed,
            ProviderUpdate::Captured { .. },
        ) => Some(Status::Captured),
        (Status::Pending, ProviderUpdate::NeedsAction { .. }) => Some(Status::RequiresAction),
        (_, ProviderUpdate::Declined { .. }) if is_open => Some(Status::Failed),
        (_, ProviderUpdate::Voided) if is_open || status == Status::Authorized => Some(Status::Voided),
        _ => None,
    }
}

impl Provider {
    /// Whether charges can be authorised and captured later. Staff record manual payments by hand.
    pub(crate) fn authorizes(self) -> bool {
        self != Self::Manual
    }

    /// Whether an authorised charge can be captured in several parts. With other providers one capture takes all that
    /// is due once no goods are left to ship.
    pub(crate) fn captures_in_parts(self) -> bool {
        self == Self::Sandbox
    }
}

/// The effect of a return on its payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReturnEffect {
    /// The amount to refund.
    pub(crate) refund: Amount,
    /// The amount that is no longer due.
    pub(crate) voided: Amount,
    /// The fee that is kept.
    pub(crate) fee: Amount,
}

impl Payment {
    /// Whether the provider has not decided the charge yet. A manual payment counts as decided.
    pub(crate) fn undecided(&self) -> bool {
        self.status == Status::Pending && self.provider != Provider::Manual
    }

    /// Whether the provider has declined the charge but would still accept another attempt at it.
    pub(crate) fn is_open_after_failure(&self) -> bool {
        self.status == Status::Failed && self.reference.is_some()
    }

    /// The captured amount that has not been refunded or claimed by a refund.
    pub(crate) fn left(&self) -> Amount {
        self.captured - self.refunded - self.refunding
    }

    /// The amount due in total, captured or not.
    pub(crate) fn due(&self) -> Amount {
        self.amount - self.voided
    }

    /// Whether the money is captured as goods are shipped.
    pub(crate) fn is_captured_later(&self) -> bool {
        self.capture_at == Some(CaptureAt::Shipment)
    }

    /// The amount claimed by captures that the provider has not answered.
    pub(crate) fn capturing(&self) -> Amount {
        self.capturing.unwrap_or_else(|| self.currency.zero())
    }

    /// The amount that is due and neither captured nor claimed by a capture.
    pub(crate) fn uncaptured(&self) -> Amount {
        self.due() - self.captured - self.capturing()
    }

    /// The status that follows from the captured and refunded amounts.
    pub(crate) fn status_by_amounts(&self) -> Status {
        match (self.captured, self.refunded) {
            (captured, _) if captured < self.due() => Status::PartiallyCaptured,
            (_, refunded) if refunded.is_zero() => Status::Captured,
            (captured, refunded) if refunded >= captured => Status::Refunded,
            _ => Status::PartiallyRefunded,
        }
    }

    /// Whether a part of the payment can still be captured.
    pub(crate) fn awaits_capture(&self) -> bool {
        let is_open = matches!(self.status, Status::Pending | Status::Authorized | Status::PartiallyCaptured);
        is_open && self.cancelled_at.is_none()
    }

    /// The amount to capture when the goods that are left to ship cost `unshipped`, or `None`. A provider that captures
    /// once waits for the last goods.
    pub(crate) fn to_capture(&self, unshipped: Amount) -> Option<Amount> {
        let is_authorized = self.status != Status::Pending && self.awaits_capture() && self.is_captured_later();
        if !is_authorized || (!unshipped.is_zero() && !self.provider.captures_in_parts()) {
            return None;
        }
        Some(self.uncaptured() - unshipped).filter(|amount| *amount > Amount::ZERO)
    }

    /// The amount that covers goods if they are shipped now: what is captured and not refunded, and what is still due
    /// if it is authorised or collected on delivery.
    pub(crate) fn secured(&self) -> Amount {
        let is_promised = self.status != Status::Pending || self.method == Method::CashOnDelivery;
        if is_promised && self.awaits_capture() { self.left() + self.due() - self.captured } else { self.left() }
    }

    /// The effect of a return of goods worth `amount`, less `fee`, of which the part `unshipped` is for units that were
    /// never shipped. A captured payment is refunded, at most by what is left of it. What is not captured is no longer
    /// due instead, first for the units that were not shipped. Of a payment that staff record or capture, such as cash on
    /// delivery, only the fee stays due if nothing was captured when the last goods are returned (`whole`). What a payment
    /// captured by shipments keeps due, such as the shipping of goods that came back, is captured: the result is that of a
    /// payment captured with the order.
    pub(crate) fn return_effect(&self, amount: Amount, fee: Amount, unshipped: Amount, whole: bool) -> ReturnEffect {
        let zero = self.currency.zero();
        let (open, left) = (if self.awaits_capture() { self.uncaptured() } else { zero }, self.left());
        let nothing_captured = self.awaits_capture() && self.captured.is_zero();
        let value = if whole && nothing_captured && !self.is_captured_later() { open } else { amount.min(open + left) };
        let fee = fee.min(value);
        let first_voided = (value - fee).min(unshipped).min(open);
        let refund = (value - fee - first_voided).min(left);
        ReturnEffect { refund, voided: value - fee - refund, fee }
    }

    /// Adds attempts and counts them; only the latest [`MAX_ATTEMPTS`] are kept.
    pub(crate) fn record_attempts(&mut self, attempts: &[Attempt]) {
        self.tries = self.tries.saturating_add(u32::try_from(attempts.len()).unwrap_or(u32::MAX));
        self.attempts.extend_from_slice(attempts);
        let surplus = self.attempts.len().saturating_sub(MAX_ATTEMPTS);
        self.attempts.drain(..surplus);
    }

    /// Refuses a capture when there is nothing to capture.
    pub(crate) fn check_capture(&self) -> Result<(), Error> {
        let awaits_manual_payment = self.provider == Provider::Manual && self.status == Status::Pending;
        let is_authorized = matches!(self.status, Status::Authorized | Status::PartiallyCaptured);
        if self.cancelled_at.is_none() && (awaits_manual_payment || is_authorized) {
            return Ok(());
        }
        Err(reject::transition(self.status, Status::Captured))
    }

    /// Refuses to confirm a payment that requires no action of the buyer.
    pub(crate) fn check_confirm(&self) -> Result<(), Error> {
        let may_go_on = matches!(self.status, Status::RequiresAction | Status::Processing);
        if may_go_on && self.cancelled_at.is_none() {
            return Ok(());
        }
        Err(reject::transition(self.status, Status::Captured))
    }

    /// Refuses to void a payment that was captured, has failed or is voided.
    pub(crate) fn check_void(&self) -> Result<(), Error> {
        match self.status {
            Status::Pending | Status::RequiresAction | Status::Processing | Status::Authorized => Ok(()),
            from => Err(reject::transition(from, Status::Voided)),
        }
    }

    /// Refuses a refund of more than what is left.
    pub(crate) fn check_refund(&self, amount: Amount) -> Result<(), Error> {
        if amount <= self.left() {
            return Ok(());
        }
        Err(reject::exceeds(self.left(), self.currency))
    }

    /// Marks the payment as ended, so that a later capture is refunded. The first reason is kept.
    pub(crate) fn cancel(&mut self, reason: &str, now: Timestamp) {
        if self.cancelled_at.is_none() {
            self.cancelled_at = Some(now);
            self.cancel_reason = Some(reason.to_owned());
        }
    }
}

/// The idempotency key of an order's charge at the provider.
pub(crate) fn charge_key(order_id: OrderId) -> String {
    format!("order-{order_id}-charge")
}

/// The order that a charge's key belongs to.
pub(crate) fn order_of(key: &str) -> Option<OrderId> {
    key.strip_prefix("order-")?.strip_suffix("-charge")?.parse().ok().map(OrderId)
}

/// The idempotency key of a part's capture at the provider.
pub(crate) fn capture_key(id: i64) -> String {
    format!("capture-{id}")
}

/// The idempotency key of a refund at the provider.
pub(crate) fn refund_key(id: i64) -> String {
    format!("refund-{id}")
}

/// The refund that a refund's key belongs to.
pub(crate) fn refund_of(key: &str) -> Option<i64> {
    key.strip_prefix("refund-")?.parse().ok()
}

/// The reference of a return's refund.
pub(crate) fn return_reference(return_id: i64) -> String {
    format!("return:{return_id}")
}

/// The reference of a parcel's capture.
pub(crate) fn parcel_reference(parcel_id: i64) -> String {
    format!("parcel:{parcel_id}")
}

/// The return that a refund's reference names, if it is the refund of a return.
pub(crate) fn return_of(reference: &str) -> Option<i64> {
    reference.strip_prefix("return:")?.parse().ok()
}

/// Validates an amount of money: greater than zero, with no more digits than the currency has.
pub(crate) fn money(amount: Amount, currency: Currency) -> Result<Amount, Error> {
    let exact = currency.exact(amount).map_err(|fault| Error::field("/amount", fault))?;
    if exact <= Amount::ZERO {
        return Err(Error::field("/amount", "must be greater than zero"));
    }
    Ok(exact)
}

/// A validated choice of provider and method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) provider: Provider,
    pub(crate) method: Method,
    pub(crate) token: Option<String>,
}

/// All combinations of provider and method, with their display names.
pub(crate) const METHODS: [(Provider, Method, &str); 4] = [
    (Provider::Stripe, Method::Card, "Card"),
    (Provider::Sandbox, Method::Card, "Card (sandbox)"),
    (Provider::Manual, Method::CashOnDelivery, "Cash on delivery"),
    (Provider::Manual, Method::BankTransfer, "Bank transfer"),
];

/// The available combinations: methods that the store has enabled, at providers that accept charges.
pub(crate) fn available(
    enabled: &[Method],
    accepts: impl Fn(Provider) -> bool,
) -> impl Iterator<Item = (Provider, Method, &'static str)> {
    METHODS.into_iter().filter(move |(provider, method, _)| enabled.contains(method) && accepts(*provider))
}

/// Refuses a choice that is not available. Pointers refer to the body of an order.
pub(crate) fn check_available(
    choice: &Choice,
    enabled: &[Method],
    accepts: impl Fn(Provider) -> bool,
) -> Result<(), Error> {
    let mut methods: Vec<&str> = Vec::new();
    for (provider, method, _) in available(enabled, &accepts) {
        if (provider, method) == (choice.provider, choice.method) {
            return Ok(());
        }
        if !methods.contains(&method.as_str()) {
            methods.push(method.as_str());
        }
    }
    let alternatives = match methods.as_slice() {
        [] => "this store accepts no payment yet".to_owned(),
        methods => format!("this store accepts {}", methods.join(", ")),
    };
    let (method, provider) = (choice.method, choice.provider);
    let (pointer, problem, remedy) = if enabled.contains(&method) {
        let remedy = match provider {
            Provider::Sandbox => "payment.sandbox = true in the server's configuration enables test money",
            _ => "docs/operations.md says how to set up a provider",
        };
        ("/payment/provider", format!("{method} by {provider} is not enabled"), remedy)
    } else {
        let remedy = "PATCH /api/settings/payments changes the methods";
        ("/payment/method", format!("{method} is not enabled"), remedy)
    };
    let detail = format!("{problem}: {alternatives}; {remedy}");
    Err(Error::invalid(vec![FieldError::coded(pointer, codes::METHOD_OFF, detail)]))
}

/// Validates a choice; `default_for` gives the provider of a method if the choice names none. Pointers refer to the body
/// of an order.
pub(crate) fn choose(choice: &PaymentChoice, default_for: impl Fn(Method) -> Provider) -> Result<Choice, Error> {
    let method: Method = choice.method.parse().map_err(|fault: String| Error::field("/payment/method", fault))?;
    let provider = match &choice.provider {
        Some(name) => name.parse().map_err(|fault: String| Error::field("/payment/provider", fault))?,
        None => default_for(method),
    };
    if !METHODS.iter().any(|known| (known.0, known.1) == (provider, method)) {
        return Err(Error::field("/payment/method", format!("{provider} does not accept {method}")));
    }
    let token = if method == Method::Card { Some(token(choice.token.as_deref())?) } else { None };
    Ok(Choice { provider, method, token })
}

/// Validates a provider's token for a card. Card numbers are refused.
fn token(token: Option<&str>) -> Result<String, Error> {
    let Some(token) = token.map(str::trim).filter(|token| !token.is_empty()) else {
        let detail = "a card payment needs the provider's token for the card".to_owned();
        return Err(Error::invalid(vec![FieldError::coded("/payment/token", codes::MISSING, detail)]));
    };
    if token.len() > 255 || !token.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(Error::field("/payment/token", "must be 1 to 255 printable characters"));
    }
    let digits = token.chars().filter(char::is_ascii_digit).count();
    if digits >= 12 && token.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return Err(Error::field("/payment/token", "looks like a card number, which is never accepted: send a token"));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updates() -> [(&'static str, ProviderUpdate); 7] {
        let reference = String::new();
        let action = PaymentAction::redirect(String::new());
        [
            ("authorized", ProviderUpdate::Authorized { reference: reference.clone() }),
            ("captured", ProviderUpdate::Captured { reference: reference.clone() }),
            ("processing", ProviderUpdate::Processing { reference: reference.clone() }),
            ("needs action", ProviderUpdate::NeedsAction { reference, action }),
            ("declined", ProviderUpdate::Declined { code: "X".into() }),
            ("voided", ProviderUpdate::Voided),
            ("no answer", ProviderUpdate::NoAnswer),
        ]
    }

    #[test]
    fn every_update_leads_to_the_expected_status() {
        use Status as S;
        let (authorized, captured, failed, voided) =
            (Some(S::Authorized), Some(S::Captured), Some(S::Failed), Some(S::Voided));
        let (processing, action) = (Some(S::Processing), Some(S::RequiresAction));
        let table: [(S, [Option<S>; 7]); 9] = [
            (S::Pending, [authorized, captured, processing, action, failed, voided, None]),
            (S::RequiresAction, [authorized, captured, processing, None, failed, voided, None]),
            (S::Processing, [authorized, captured, None, None, failed, voided, None]),
            (S::Authorized, [None, captured, None, None, None, voided, None]),
            (S::Captured, [None; 7]),
            (S::PartiallyRefunded, [None; 7]),
            (S::Refunded, [None; 7]),
            (S::Voided, [None, captured, None, None, None, None, None]),
            (S::Failed, [None, captured, None, None, None, None, None]),
        ];
        for (from, expected) in table {
            for ((name, update), want) in updates().iter().zip(expected) {
                assert_eq!(next(from, update), want, "{from} after {name}");
            }
        }
    }

    #[test]
    fn a_disabled_method_or_provider_cannot_be_chosen() {
        let choice = |provider, method| Choice { provider, method, token: None };
        let card = choice(Provider::Sandbox, Method::Card);
        let cash = choice(Provider::Manual, Method::CashOnDelivery);
        for (chosen, enabled, sandbox, want) in [
            (&card, &[Method::Card][..], true, None),
            (&card, &[Method::Card], false, Some("/payment/provider")),
            (&card, &[Method::CashOnDelivery], true, Some("/payment/method")),
            (&cash, &[Method::CashOnDelivery], false, None),
            (&cash, &[Method::Card, Method::BankTransfer], true, Some("/payment/method")),
            (&cash, &[], true, Some("/payment/method")),
        ] {
            let accepts = |provider| sandbox || provider != Provider::Sandbox;
            let error = check_available(chosen, enabled, accepts).err();
            let pointer = error.as_ref().map(|error| error.errors()[0].pointer.as_str());
            assert_eq!(pointer, want, "{chosen:?} of {enabled:?}, sandbox {sandbox}");
        }
    }

    #[test]
    fn an_invalid_choice_is_refused_with_a_pointer() {
        let choice = |method: &str, provider: Option<&str>, token: Option<&str>| PaymentChoice {
            method: method.into(),
            provider: provider.map(str::to_owned),
            token: token.map(str::to_owned),
        };
        for (given, want) in [
            (choice("CARD", None, Some("tok_visa")), Ok((Provider::Sandbox, Method::Card))),
            (choice("CARD", Some("sandbox"), Some("x")), Ok((Provider::Sandbox, Method::Card))),
            (choice("CASH_ON_DELIVERY", None, None), Ok((Provider::Manual, Method::CashOnDelivery))),
            (choice("BANK_TRANSFER", Some("manual"), Some("x")), Ok((Provider::Manual, Method::BankTransfer))),
            (choice("card", None, Some("x")), Err("/payment/method")),
            (choice("CARD", Some("manual"), Some("x")), Err("/payment/method")),
            (choice("BANK_TRANSFER", Some("sandbox"), None), Err("/payment/method")),
            (choice("CARD", Some("paypal"), Some("x")), Err("/payment/provider")),
            (choice("CARD", None, None), Err("/payment/token")),
            (choice("CARD", None, Some(" ")), Err("/payment/token")),
            (choice("CARD", None, Some("4242 4242 4242 4242")), Err("/payment/token")),
        ] {
            let default = |method| if method == Method::Card { Provider::Sandbox } else { Provider::Manual };
            let got = choose(&given, default).map(|item| (item.provider, item.method));
            assert_eq!(
                got.map_err(|error| error.errors()[0].pointer.clone()),
                want.map_err(str::to_owned),
                "{given:?}"
            );
        }
    }

    #[test]
    fn keys_name_their_order_or_refund() {
        assert_eq!(order_of(&charge_key(OrderId(7))), Some(OrderId(7)));
        assert_eq!(refund_of(&refund_key(3)), Some(3));
        assert!(order_of("order-x-charge").is_none() && order_of("7").is_none() && refund_of("refund-").is_none());
    }

    #[test]
    fn amounts_are_positive_and_have_the_currencys_digits() {
        let yen: Currency = "JPY".parse().unwrap();
        for (text, currency, valid) in [
            ("19.90", Currency::GBP, true),
            ("19.901", Currency::GBP, false),
            ("0", Currency::GBP, false),
            ("-1", Currency::GBP, false),
            ("1500", yen, true),
            ("1500.5", yen, false),
        ] {
            assert_eq!(money(text.parse().unwrap(), currency).is_ok(), valid, "{text} {currency}");
        }
    }
}
