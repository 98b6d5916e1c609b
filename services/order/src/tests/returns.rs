//! Parcels and returns: units are shipped once and returned once, and all of them give back exactly what was paid.

use promox_contract::order::OrderStatus;
use promox_contract::payment::{PaymentOutcome, PaymentStatus, ReturnSettlement};
use promox_kernel::Amount;
use proptest::prelude::*;

use super::desk::{Desk, Line, items, paid};
use crate::api::{ApproveReturn, RequestReturn, ShipOrder};
use crate::commands::{fulfil, returns};

const LINES: [Line; 2] = [("A", 3, "3.33", "1.00"), ("B", 7, "0.99", "0.50")];

async fn give_back(desk: &Desk, id: promox_contract::ids::OrderId, units: &[(&str, u32)]) -> Option<Amount> {
    let op = RequestReturn { id, items: items(units), reason: "too blue".into() };
    let cx = desk.buyer();
    let asked = desk.write(move |tx| returns::request(tx, &cx, &op, Some(&paid()))).await.ok()?;
    let (cx, rid) = (desk.cx(), asked.id);
    let op = ApproveReturn { id, rid, restock: None, shipping_refund: None, fee: None };
    desk.write(move |tx| returns::begin_approval(tx, &cx, &op)).await.unwrap();
    let approve = move |tx: &mut promox_storage::Tx<'_>| {
        let (row, _) = returns::load(tx, rid)?;
        let approval = row.approval.0.unwrap();
        let status = if approval.whole { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
        let (payment, zero) = (PaymentOutcome { status, ..paid() }, Amount::ZERO);
        let settled = ReturnSettlement { refund: approval.money, voided: zero, fee: zero, payment };
        returns::approve(tx, rid, Some(&settled))
    };
    let approved = desk.write(approve).await.unwrap();
    desk.write(move |tx| returns::moved(tx, rid)).await.unwrap();
    Some(approved.refund)
}

#[tokio::test]
async fn parcels_take_the_units_that_are_left() {
    let desk = Desk::open();
    let id = desk.sold(&LINES).await;
    let ship = |units: Option<&[(&str, u32)]>| {
        let items = units.map(items);
        let op = ShipOrder { id, items, carrier: "Post".into(), tracking_number: "1".into(), confirm: false };
        let cx = desk.cx();
        desk.write(move |tx| fulfil::ship(tx, &cx, &op, Some(&paid())))
    };
    ship(Some(&[("A", 2)])).await.unwrap();
    assert_eq!(desk.status(id).await, OrderStatus::Processing);
    assert!(ship(Some(&[("A", 2)])).await.is_err(), "one is left");
    let rest = ship(None).await.unwrap();
    assert_eq!(rest.items, items(&[("A", 1), ("B", 7)]));
    assert_eq!(desk.status(id).await, OrderStatus::Shipped);
    assert!(ship(None).await.is_err());
    desk.verify();
}

#[tokio::test]
async fn nobody_returns_more_than_was_bought() {
    let desk = Desk::open();
    let id = desk.sold(&LINES).await;
    assert!(give_back(&desk, id, &[("A", 4)]).await.is_none());
    assert!(give_back(&desk, id, &[("A", 2)]).await.is_some());
    assert!(give_back(&desk, id, &[("A", 2)]).await.is_none());
    assert!(give_back(&desk, id, &[("C", 1)]).await.is_none());
    desk.verify();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However the units come back, all of them give back what was paid for them.
    #[test]
    fn all_units_give_back_all_of_it(steps in prop::collection::vec((any::<bool>(), 1_u32..4), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::open();
            let id = desk.sold(&LINES).await;
            let (mut left, mut refunded) = ([3, 7], Amount::ZERO);
            for (first, units) in steps.into_iter().chain([(true, 3), (false, 7)]) {
                let (sku, left) = if first { ("A", &mut left[0]) } else { ("B", &mut left[1]) };
                let units = units.min(*left);
                if units > 0 {
                    refunded += give_back(&desk, id, &[(sku, units)]).await.unwrap();
                    *left -= units;
                }
            }
            assert_eq!(refunded.to_string(), "15.42");
            assert_eq!(desk.status(id).await, OrderStatus::Refunded);
            desk.verify();
        });
    }
}
