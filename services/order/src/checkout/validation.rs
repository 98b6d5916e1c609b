//! Asks the merchant's own service whether an order may be placed, before anything is held for it.

use std::collections::HashMap;

use promox_contract::codes;
use promox_contract::hook::{HookKind, HookLine, HookQuestion, ValidationQuestion};
use promox_contract::order_line::OrderLine;
use promox_contract::settings::Settings;
use promox_kernel::{Cx, Error};

use super::draft::NewOrder;
use crate::pricing::hooks::{ask, hook_address};

/// Asks whether an order may be placed. `tax_classes` are those of its lines by their folded SKUs. Refused with 422 `CHECKOUT_REJECTED` if the merchant's service says no.
pub(crate) async fn validate(
    cx: &Cx,
    settings: &Settings,
    order: &mut NewOrder,
    (tax_classes, payment_method): (&HashMap<String, String>, Option<&str>),
) -> Result<(), Error> {
    if !settings.hooks.contains(&HookKind::Validation) {
        return Ok(());
    }
    let line = |line: &OrderLine| HookLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
        tax_class: tax_classes.get(&line.sku.fold()).cloned(),
        amount: line.subtotal - line.discount,
    };
    let question = ValidationQuestion {
        currency: order.priced.currency,
        email: order.email.clone(),
        address: order.shipping_address.as_ref().map(hook_address),
        lines: order.priced.lines.iter().map(line).collect(),
        totals: order.priced.totals.clone(),
        shipping_method: order.priced.shipping_method.clone(),
        payment_method: payment_method.map(str::to_owned),
        channel: order.channel.clone(),
        attributes: order.attributes.clone(),
    };
    let answer = ask(cx, HookQuestion::Validation(question), &mut order.priced.hooks).await?;
    match answer.and_then(|answer| answer.validation) {
        Some(said) if !said.accepted => {
            let message = said.message.unwrap_or_else(|| "The shop does not accept this order.".to_owned());
            Err(Error::refused(codes::CHECKOUT_REJECTED, message))
        }
        _ => Ok(()),
    }
}
