//! What others ask of the store's settings.

use std::future::Future;

use promox_kernel::{Currency, Cx, Error, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payment::PaymentMethod;

/// Asks for the ways to pay that the store has switched on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorePayments {}
operation! { StorePayments => EnabledMethods, "order.store_payments", internal, "The ways to pay that are switched on." }

/// The ways to pay that the store has switched on, whether or not a provider is there for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnabledMethods {
    /// The methods.
    pub methods: Vec<PaymentMethod>,
}
json_reply!(EnabledMethods);

/// Says that amounts in the store's currency are about to be written: until it is settled the currency stays as it is.
/// 409 `CURRENCY_CHANGED` when it is another one by now. Ask through [`write_amounts`].
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PledgeAmounts {
    /// The currency that the amounts were read in.
    pub currency: Currency,
}
operation! { PledgeAmounts => AmountsPledged, "order.pledge_amounts", internal, "Keeps the currency while amounts are written." }

/// The answer to [`PledgeAmounts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmountsPledged {
    /// Whether it is to be settled; not where amounts were written before.
    pub pending: bool,
}
json_reply!(AmountsPledged);

/// Says what became of pledged amounts: written, they fix the currency for good.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleAmounts {
    /// Whether any were written.
    pub written: bool,
}
operation! { SettleAmounts => (), "order.settle_amounts", internal, "Says what became of pledged amounts." }

/// Does work that writes amounts in `currency`, which cannot change meanwhile; `written` says of what came of it whether any
/// are written. What is refused as a whole fixes nothing.
pub async fn write_amounts<T>(
    cx: &Cx,
    currency: Currency,
    work: impl Future<Output = Result<T, Error>>,
    written: impl FnOnce(&Result<T, Error>) -> bool,
) -> Result<T, Error> {
    let own = cx.elevated();
    let AmountsPledged { pending } = own.call(PledgeAmounts { currency }).await?;
    let done = work.await;
    if pending {
        let written = written(&done);
        // A pledge that is left behind counts as written from the next start on, which is the safe side.
        drop(own.call(SettleAmounts { written }).await);
    }
    done
}

/// What services rely on and the store knows, for the auditor to compare: the currency of their rows.
pub const IN_CURRENCY: &str = "store: amounts are in its currency";
/// The digits after the point that amounts without a currency of their own have.
pub const IN_DIGITS: &str = "store: no amount has more digits than its currency";
