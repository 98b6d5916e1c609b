//! The state machine of a payment, the choice of a provider, and what may be refunded. No storage, no clock.

use promox_contract::ids::OrderId;
use promox_contract::payment::{PaymentAction, PaymentChoice, PaymentStatus as Status};
use promox_kernel::{Amount, Currency, Error, FieldError, Timestamp};

use crate::records::{Attempt, Method, Payment, Provider};
use crate::reject;

/// Attempts that a payment shows.
const MOST_ATTEMPTS: usize = 20;
/// Refunds by hand that a payment may have.
pub(crate) const MOST_REFUNDS: usize = 500;
/// Refunds that a payment can have with those of its returns, of which an order has no more than that, and of its end.
pub(crate) const ALL_REFUNDS: usize = 2 * MOST_REFUNDS + 1;

/// What is heard of a charge: a provider's answer, its webhook, or silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
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
    /// No answer, or one that is yet to come by hand.
    Silence,
}

/// Where news takes a payment; `None` when it is no news there. The order in which news comes does not matter: a capture
/// is believed even after a decline or a void, nothing else is believed after a capture.
pub(crate) fn next(status: Status, news: &News) -> Option<Status> {
    match (status, news) {
        (Status::Pending | Status::RequiresAction, News::Authorized { .. }) => Some(Status::Authorized),
        (
            Status::Pending | Status::RequiresAction | Status::Authorized | Status::Voided | Status::Failed,
            News::Captured { .. },
        ) => Some(Status::Captured),
        (Status::Pending, News::NeedsAction { .. }) => Some(Status::RequiresAction),
        (Status::Pending | Status::RequiresAction, News::Declined { .. }) => Some(Status::Failed),
        (Status::Pending | Status::RequiresAction | Status::Authorized, News::Voided) => Some(Status::Voided),
        _ => None,
    }
}

/// Where a payment stands after a refund.
pub(crate) fn after_refund(captured: Amount, refunded: Amount) -> Status {
    if refunded >= captured { Status::Refunded } else { Status::PartiallyRefunded }
}

/// What a return gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) refund: Amount,
    pub(crate) voided: Amount,
    pub(crate) fee: Amount,
}

impl Payment {
    /// Whether the provider's answer is still out. What is paid by hand waits for nobody's answer.
    pub(crate) fn undecided(&self) -> bool {
        self.status == Status::Pending && self.provider != Provider::Manual
    }

    /// What can be refunded still.
    pub(crate) fn left(&self) -> Amount {
        self.captured - self.refunded - self.refunding
    }

    /// What is to be paid in all.
    pub(crate) fn due(&self) -> Amount {
        self.amount - self.voided
    }

    /// Whether its money is yet to be captured.
    pub(crate) fn awaits_capture(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Authorized) && self.cancelled_at.is_none()
    }

    /// What pays for goods that are shipped now.
    pub(crate) fn secured(&self) -> Amount {
        let follows = self.status == Status::Authorized || self.method == Method::CashOnDelivery;
        if follows && self.awaits_capture() { self.due() } else { self.left() }
    }

    /// What a return that is worth `amount` gives, `fee` less: what is left of the capture, or what is due and never will be
    /// captured. With the last of the goods nothing but the fee is due any more.
    pub(crate) fn settlement(&self, amount: Amount, fee: Amount, whole: bool) -> Settled {
        let by_hand = self.awaits_capture();
        let gives = match (by_hand, whole) {
            (true, true) => self.due(),
            (true, false) => amount.min(self.due()),
            (false, _) => amount.min(self.left()),
        };
        let fee = fee.min(gives);
        let zero = self.currency.zero();
        let (refund, voided) = if by_hand { (zero, gives - fee) } else { (gives - fee, zero) };
        Settled { refund, voided, fee }
    }

    /// Notes attempts; the oldest are forgotten, not their number.
    pub(crate) fn tried(&mut self, attempts: &[Attempt]) {
        self.tries = self.tries.saturating_add(u32::try_from(attempts.len()).unwrap_or(u32::MAX));
        self.attempts.extend_from_slice(attempts);
        let surplus = self.attempts.len().saturating_sub(MOST_ATTEMPTS);
        self.attempts.drain(..surplus);
    }

    /// Refuses to capture what is not there to capture.
    pub(crate) fn check_capture(&self) -> Result<(), Error> {
        let by_hand = self.provider == Provider::Manual && self.status == Status::Pending;
        if self.cancelled_at.is_none() && (by_hand || self.status == Status::Authorized) {
            return Ok(());
        }
        Err(reject::transition(self.status, Status::Captured))
    }

    /// Refuses to go on with what waits for nobody's action.
    pub(crate) fn check_confirm(&self) -> Result<(), Error> {
        if self.status == Status::RequiresAction && self.cancelled_at.is_none() {
            return Ok(());
        }
        Err(reject::transition(self.status, Status::Captured))
    }

    /// Refuses to void what was captured or failed.
    pub(crate) fn check_void(&self) -> Result<(), Error> {
        match self.status {
            Status::Pending | Status::RequiresAction | Status::Authorized => Ok(()),
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

    /// Ends it: what is captured from now on is given back. The first reason stays.
    pub(crate) fn cancel(&mut self, reason: &str, now: Timestamp) {
        if self.cancelled_at.is_none() {
            self.cancelled_at = Some(now);
            self.cancel_reason = Some(reason.to_owned());
        }
    }
}

/// The key that a provider knows an order's charge by: the same however often it is asked.
pub(crate) fn charge_key(order_id: OrderId) -> String {
    format!("order-{order_id}-charge")
}

/// The order of a charge's key.
pub(crate) fn order_of(key: &str) -> Option<OrderId> {
    key.strip_prefix("order-")?.strip_suffix("-charge")?.parse().ok().map(OrderId)
}

/// The key that a provider knows a refund by.
pub(crate) fn refund_key(id: i64) -> String {
    format!("refund-{id}")
}

/// The refund of a key.
pub(crate) fn refund_of(key: &str) -> Option<i64> {
    key.strip_prefix("refund-")?.parse().ok()
}

/// What names the refund of a return.
pub(crate) fn return_reference(return_id: i64) -> String {
    format!("return:{return_id}")
}

/// The return that a refund's reference names.
pub(crate) fn return_of(reference: &str) -> Option<i64> {
    reference.strip_prefix("return:")?.parse().ok()
}

/// An amount of money to move: more than nothing, with the currency's digits.
pub(crate) fn money(amount: Amount, currency: Currency) -> Result<Amount, Error> {
    let exact = currency.exact(amount).map_err(|fault| Error::field("/amount", fault))?;
    if exact <= Amount::ZERO {
        return Err(Error::field("/amount", "must be greater than zero"));
    }
    Ok(exact)
}

/// A choice of payment that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) provider: Provider,
    pub(crate) method: Method,
    pub(crate) token: Option<String>,
}

/// What can be chosen: by which provider, how, and what it is called.
pub(crate) const METHODS: [(Provider, Method, &str); 3] = [
    (Provider::Sandbox, Method::Card, "Card (sandbox)"),
    (Provider::Manual, Method::CashOnDelivery, "Cash on delivery"),
    (Provider::Manual, Method::BankTransfer, "Bank transfer"),
];

/// What can be chosen now: the methods that the store has switched on, by the providers that the configuration has.
pub(crate) fn available(enabled: &[Method], sandbox: bool) -> impl Iterator<Item = (Provider, Method, &'static str)> {
    let on = move |(provider, method, _): &(Provider, Method, &str)| {
        enabled.contains(method) && (sandbox || *provider != Provider::Sandbox)
    };
    METHODS.into_iter().filter(on)
}

/// Refuses a choice that is switched off; faults point into an order's body.
pub(crate) fn check_available(choice: &Choice, enabled: &[Method], sandbox: bool) -> Result<(), Error> {
    if available(enabled, sandbox).any(|(by, how, _)| (by, how) == (choice.provider, choice.method)) {
        return Ok(());
    }
    let methods: Vec<&str> = available(enabled, sandbox).map(|(_, method, _)| method.as_str()).collect();
    let instead = match methods.as_slice() {
        [] => "this store accepts no payment yet".to_owned(),
        methods => format!("this store accepts {}", methods.join(", ")),
    };
    let (method, provider) = (choice.method, choice.provider);
    let (pointer, what, remedy) = if enabled.contains(&method) {
        let remedy = "payment.sandbox = true in its configuration enables test money";
        ("/payment/provider", format!("{method} by {provider} is not enabled"), remedy)
    } else {
        let remedy = "PATCH /api/settings/payments changes its methods";
        ("/payment/method", format!("{method} is not enabled"), remedy)
    };
    let detail = format!("{what}: {instead}; {remedy}");
    Err(Error::invalid(vec![FieldError { pointer: pointer.into(), code: "METHOD_OFF".into(), detail }]))
}

/// Checks a choice; faults point into an order's body.
pub(crate) fn choose(choice: &PaymentChoice) -> Result<Choice, Error> {
    let method: Method = choice.method.parse().map_err(|fault: String| Error::field("/payment/method", fault))?;
    let usual = if method == Method::Card { Provider::Sandbox } else { Provider::Manual };
    let provider = match &choice.provider {
        Some(name) => name.parse().map_err(|fault: String| Error::field("/payment/provider", fault))?,
        None => usual,
    };
    if !METHODS.iter().any(|(by, how, _)| (*by, *how) == (provider, method)) {
        return Err(Error::field("/payment/method", format!("{provider} does not accept {method}")));
    }
    let token = if provider == Provider::Sandbox { Some(token(choice.token.as_deref())?) } else { None };
    Ok(Choice { provider, method, token })
}

fn token(token: Option<&str>) -> Result<String, Error> {
    let Some(token) = token.map(str::trim).filter(|token| !token.is_empty()) else {
        let detail = "a card payment needs the provider's token for the card".to_owned();
        return Err(Error::invalid(vec![FieldError {
            pointer: "/payment/token".into(),
            code: "MISSING".into(),
            detail,
        }]));
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

    fn news() -> [(&'static str, News); 6] {
        let reference = String::new();
        let action = PaymentAction { kind: "REDIRECT".into(), url: String::new() };
        [
            ("authorized", News::Authorized { reference: reference.clone() }),
            ("captured", News::Captured { reference: reference.clone() }),
            ("needs action", News::NeedsAction { reference, action }),
            ("declined", News::Declined { code: "X".into() }),
            ("voided", News::Voided),
            ("silence", News::Silence),
        ]
    }

    #[test]
    fn every_state_and_every_news() {
        use Status as S;
        let table: [(S, [Option<S>; 6]); 8] = [
            (
                S::Pending,
                [
                    Some(S::Authorized),
                    Some(S::Captured),
                    Some(S::RequiresAction),
                    Some(S::Failed),
                    Some(S::Voided),
                    None,
                ],
            ),
            (S::RequiresAction, [Some(S::Authorized), Some(S::Captured), None, Some(S::Failed), Some(S::Voided), None]),
            (S::Authorized, [None, Some(S::Captured), None, None, Some(S::Voided), None]),
            (S::Captured, [None; 6]),
            (S::PartiallyRefunded, [None; 6]),
            (S::Refunded, [None; 6]),
            (S::Voided, [None, Some(S::Captured), None, None, None, None]),
            (S::Failed, [None, Some(S::Captured), None, None, None, None]),
        ];
        for (from, wanted) in table {
            for ((name, news), want) in news().iter().zip(wanted) {
                assert_eq!(next(from, news), want, "{from} hears {name}");
            }
        }
    }

    #[test]
    fn what_is_switched_off_cannot_be_chosen() {
        let choice = |provider, method| Choice { provider, method, token: None };
        let card = choice(Provider::Sandbox, Method::Card);
        let cash = choice(Provider::Manual, Method::CashOnDelivery);
        for (asked, enabled, sandbox, fault) in [
            (&card, &[Method::Card][..], true, None),
            (&card, &[Method::Card], false, Some("/payment/provider")),
            (&card, &[Method::CashOnDelivery], true, Some("/payment/method")),
            (&cash, &[Method::CashOnDelivery], false, None),
            (&cash, &[Method::Card, Method::BankTransfer], true, Some("/payment/method")),
            (&cash, &[], true, Some("/payment/method")),
        ] {
            let got = check_available(asked, enabled, sandbox).err();
            let pointer = got.as_ref().map(|error| error.errors()[0].pointer.as_str());
            assert_eq!(pointer, fault, "{asked:?} of {enabled:?}, sandbox {sandbox}");
        }
    }

    #[test]
    fn choices_are_checked_with_a_pointer() {
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
            let got = choose(&given).map(|it| (it.provider, it.method));
            assert_eq!(
                got.map_err(|error| error.errors()[0].pointer.clone()),
                want.map_err(str::to_owned),
                "{given:?}"
            );
        }
    }

    #[test]
    fn keys_lead_back() {
        assert_eq!(order_of(&charge_key(OrderId(7))), Some(OrderId(7)));
        assert_eq!(refund_of(&refund_key(3)), Some(3));
        assert!(order_of("order-x-charge").is_none() && order_of("7").is_none() && refund_of("refund-").is_none());
    }

    #[test]
    fn amounts_have_the_currencys_digits() {
        let yen: Currency = "JPY".parse().unwrap();
        for (text, currency, good) in [
            ("19.90", Currency::GBP, true),
            ("19.901", Currency::GBP, false),
            ("0", Currency::GBP, false),
            ("-1", Currency::GBP, false),
            ("1500", yen, true),
            ("1500.5", yen, false),
        ] {
            assert_eq!(money(text.parse().unwrap(), currency).is_ok(), good, "{text} {currency}");
        }
    }
}
