//! Parcels and returns: units are shipped and returned once, and the refunds of all units add up to what was paid.

use promox_contract::order::OrderStatus;
use promox_contract::payment::{PaymentOutcome, PaymentStatus, ReturnSettlement};
use promox_kernel::Amount;
use proptest::prelude::*;

use super::fixture::{Fixture, Line, items, paid};
use crate::api::{ApproveReturn, RequestReturn, ShipOrder};
use crate::commands::{fulfil, returns};

const LINES: [Line; 2] = [("A", 3, "3.33", "1.00"), ("B", 7, "0.99", "0.50")];

async fn return_units(fixture: &Fixture, id: promox_contract::ids::OrderId, units: &[(&str, u32)]) -> Option<Amount> {
    let op = RequestReturn { id, items: items(units), reason: "too blue".into() };
    let cx = fixture.buyer();
    let requested = fixture.write(move |tx| returns::request(tx, &cx, &op, Some(&paid()))).await.ok()?;
    let (cx, rid) = (fixture.cx(), requested.id);
    let op = ApproveReturn { id, rid, restock: None, shipping_refund: None, fee: None };
    fixture.write(move |tx| returns::begin_approval(tx, &cx, &op)).await.unwrap();
    let approve = move |tx: &mut promox_storage::Tx<'_>| {
        let (row, _) = returns::load(tx, rid)?;
        let approval = row.approval.0.unwrap();
        let status = if approval.whole { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
        let (payment, zero) = (PaymentOutcome { status, ..paid() }, Amount::ZERO);
        let settled = ReturnSettlement { refund: approval.money, voided: zero, fee: zero, payment };
        returns::approve(tx, rid, Some(&settled))
    };
    let approved = fixture.write(approve).await.unwrap();
    fixture.write(move |tx| returns::mark_completed(tx, rid)).await.unwrap();
    Some(approved.refund)
}

#[tokio::test]
async fn a_parcel_contains_only_units_that_are_left() {
    let fixture = Fixture::open();
    let id = fixture.confirmed_order(&LINES).await;
    let ship = |units: Option<&[(&str, u32)]>| {
        let items = units.map(items);
        let op = ShipOrder { id, items, carrier: "Post".into(), tracking_number: "1".into(), confirm: false };
        let cx = fixture.cx();
        fixture.write(move |tx| fulfil::ship(tx, &cx, &op, Some(&paid())))
    };
    ship(Some(&[("A", 2)])).await.unwrap();
    assert_eq!(fixture.status(id).await, OrderStatus::Processing);
    assert!(ship(Some(&[("A", 2)])).await.is_err(), "only one unit is left");
    let rest = ship(None).await.unwrap();
    assert_eq!(rest.items, items(&[("A", 1), ("B", 7)]));
    assert_eq!(fixture.status(id).await, OrderStatus::Shipped);
    assert!(ship(None).await.is_err());
    fixture.verify();
}

#[tokio::test]
async fn no_more_units_can_be_returned_than_were_bought() {
    let fixture = Fixture::open();
    let id = fixture.confirmed_order(&LINES).await;
    assert!(return_units(&fixture, id, &[("A", 4)]).await.is_none());
    assert!(return_units(&fixture, id, &[("A", 2)]).await.is_some());
    assert!(return_units(&fixture, id, &[("A", 2)]).await.is_none());
    assert!(return_units(&fixture, id, &[("C", 1)]).await.is_none());
    fixture.verify();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_refunds_of_all_units_add_up_to_what_was_paid(steps in prop::collection::vec((any::<bool>(), 1_u32..4), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::open();
            let id = fixture.confirmed_order(&LINES).await;
            let (mut left, mut refunded) = ([3, 7], Amount::ZERO);
            for (first, units) in steps.into_iter().chain([(true, 3), (false, 7)]) {
                let (sku, left) = if first { ("A", &mut left[0]) } else { ("B", &mut left[1]) };
                let units = units.min(*left);
                if units > 0 {
                    refunded += return_units(&fixture, id, &[(sku, units)]).await.unwrap();
                    *left -= units;
                }
            }
            assert_eq!(refunded.to_string(), "15.42");
            assert_eq!(fixture.status(id).await, OrderStatus::Refunded);
            fixture.verify();
        });
    }
}
