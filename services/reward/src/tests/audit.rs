//! The audit detects rows that were tampered with.

use promox_contract::ids::OrderId;
use promox_kernel::UserId;
use promox_storage::Tx;
use serde_json::json;

use super::*;
use crate::records::{Account, Entry, EntryId, Lot, LotId, OrderPoints};
use crate::rules::ladder::Tier;

type Tamper = fn(&mut Tx<'_>) -> Result<(), Error>;

fn account(tx: &mut Tx<'_>, change: impl Fn(&mut Account)) -> Result<(), Error> {
    let mut row = tx.get::<Account>(&UserId(7))?.unwrap();
    change(&mut row);
    Ok(tx.put(&row)?)
}

fn lot(tx: &mut Tx<'_>, change: impl Fn(&mut Lot)) -> Result<(), Error> {
    let mut row = tx.get::<Lot>(&LotId(1))?.unwrap();
    change(&mut row);
    Ok(tx.put(&row)?)
}

fn order(tx: &mut Tx<'_>, change: impl Fn(&mut OrderPoints)) -> Result<(), Error> {
    let mut row = tx.get::<OrderPoints>(&OrderId(1))?.unwrap();
    change(&mut row);
    Ok(tx.put(&row)?)
}

const TAMPERING: [(&str, Tamper); 9] = [
    ("sum of entries = balance", |tx| account(tx, |row| row.balance += 1)),
    ("sum of entries = balance", |tx| Ok(tx.delete::<Entry>(&EntryId(1)).map(drop)?)),
    ("a balance is not negative", |tx| account(tx, |row| row.debt = -1)),
    ("earned = sum of entries that count", |tx| account(tx, |row| row.tier_points += 1)),
    ("the tier matches the ledger", |tx| account(tx, |row| row.tier = Tier::Gold)),
    ("sum of lots = balance and pending", |tx| lot(tx, |row| row.remaining -= 1)),
    ("an expired lot is empty and recorded in the ledger", |tx| lot(tx, |row| row.expired_at = Some(row.available_at))),
    ("an order's points = its ledger entries", |tx| order(tx, |row| row.earned += 1)),
    ("an order's hold = its parts", |tx| order(tx, |row| row.parts.0.clear())),
];

#[tokio::test]
async fn tampering_is_detected() {
    for (invariant, tamper) in TAMPERING {
        let shop = Shop::with(json!({})).await;
        shop.adjust(7, 100).await.unwrap();
        shop.hold(1, 7, 40).await.unwrap();
        shop.confirmed(1, 7, 30).await;
        shop.verify();
        shop.db.write(&shop.cx(), tamper).await.unwrap();
        let findings = shop.findings();
        assert!(findings.iter().any(|found| found.contains(invariant)), "{invariant}: {findings:?}");
    }
}
