//! Event consumers: each event with a message becomes a delivery, and an erased user's data is deleted.
//!
//! Nothing is rendered and no service is called here: the sender does that later, at a limited rate.

use std::sync::Arc;

use promox_contract::cart::CartAbandoned;
use promox_contract::ids::OrderId;
use promox_contract::inventory::StockLow;
use promox_contract::order::{
    OrderCancelled, OrderConfirmed, OrderCreated, OrderDelivered, OrderFailed, OrderReturned, OrderShipped,
};
use promox_contract::payment::PaymentRefunded;
use promox_contract::user::{UserErased, UserRegistered};
use promox_kernel::{Amount, Currency, Error, Fact, UserId};
use promox_storage::{Consumer, Database, Event, StoreError, Tx};
use serde_json::{Map, Value, json};

use crate::commands::{self, NewDelivery};
use crate::kinds::MessageKind;
use crate::queries;

/// Adds a PENDING delivery for each event that has a message.
pub(crate) struct WriteDeliveries;

/// The kind of message for an event; `None` if it has no message.
fn kind_of(event: &Event) -> Option<MessageKind> {
    let kinds = [
        (OrderCreated::TYPE, MessageKind::OrderReceived),
        (OrderConfirmed::TYPE, MessageKind::OrderConfirmed),
        (OrderCancelled::TYPE, MessageKind::OrderCancelled),
        (OrderFailed::TYPE, MessageKind::OrderFailed),
        (OrderShipped::TYPE, MessageKind::OrderShipped),
        (OrderDelivered::TYPE, MessageKind::OrderDelivered),
        (OrderReturned::TYPE, MessageKind::OrderReturned),
        (PaymentRefunded::TYPE, MessageKind::PaymentRefunded),
        (UserRegistered::TYPE, MessageKind::Welcome),
        (CartAbandoned::TYPE, MessageKind::CartAbandoned),
        (StockLow::TYPE, MessageKind::StockLow),
    ];
    kinds.into_iter().find(|(kind, _)| *kind == event.kind).map(|(_, kind)| kind)
}

impl Consumer for WriteDeliveries {
    fn name(&self) -> &'static str {
        "notification.write_deliveries"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        kind_of(event).is_some()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        let settings = queries::settings(tx)?;
        for event in events {
            if let Some(kind) = kind_of(event).filter(|kind| settings.sends(*kind))
                && let Some(delivery) = new_delivery(kind, event)?
            {
                commands::enqueue(tx, delivery, None)?;
            }
        }
        Ok(())
    }
}

/// The delivery for an event; `None` if it is for nobody.
fn new_delivery(kind: MessageKind, event: &Event) -> Result<Option<NewDelivery>, StoreError> {
    Ok(Some(match kind {
        MessageKind::OrderReturned => {
            let fact: OrderReturned = event.fact()?;
            let facts = json!({
                "refund": money(fact.refund, fact.currency),
                "voided": money(fact.voided, fact.currency),
                "points": fact.points,
            });
            about_order(kind, fact.order_id, facts)
        }
        MessageKind::PaymentRefunded => {
            let fact: PaymentRefunded = event.fact()?;
            about_order(kind, fact.order_id, json!({"refund": money(fact.amount, fact.currency)}))
        }
        MessageKind::Welcome => {
            let fact: UserRegistered = event.fact()?;
            about_user(kind, fact.user_id)
        }
        MessageKind::CartAbandoned => {
            let fact: CartAbandoned = event.fact()?;
            if !fact.has_recipient {
                return Ok(None);
            }
            let facts = members(json!({"cartId": fact.cart_id, "version": fact.version}));
            NewDelivery { kind, order_id: None, user_id: fact.user_id, facts }
        }
        MessageKind::StockLow => {
            let fact: StockLow = event.fact()?;
            let stock = json!({"sku": fact.sku, "available": fact.available, "threshold": fact.threshold});
            NewDelivery { kind, order_id: None, user_id: None, facts: members(json!({"stock": stock})) }
        }
        // Other messages about an order show its state when they are sent, so the id is enough.
        _ => about_order(kind, OrderId(event.aggregate_id), Value::Null),
    }))
}

/// An amount for templates. `some` is true unless the amount is zero.
fn money(amount: Amount, currency: Currency) -> Value {
    json!({"amount": amount, "currency": currency, "some": !amount.is_zero()})
}

fn about_order(kind: MessageKind, order: OrderId, facts: Value) -> NewDelivery {
    NewDelivery { kind, order_id: Some(order), user_id: None, facts: members(facts) }
}

fn about_user(kind: MessageKind, user: UserId) -> NewDelivery {
    NewDelivery { kind, order_id: None, user_id: Some(user), facts: Map::new() }
}

fn members(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

/// Deletes the data held about erased users.
pub(crate) struct EraseUser;

impl Consumer for EraseUser {
    fn name(&self) -> &'static str {
        "notification.erase_user"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            let fact: UserErased = event.fact()?;
            commands::erase(tx, fact.user_id)?;
        }
        Ok(())
    }
}
