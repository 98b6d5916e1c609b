//! Audit of coupons: active redemptions are within every limit, and each belongs to one reference.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::coupon::REDEEMED;
use promox_contract::ids::OrderId;
use promox_contract::promotion::shares;
use promox_kernel::Amount;
use promox_storage::{Hold, HoldState, Report, StoreError, Tx};

use crate::commands::redemptions::order_reference;
use crate::records::{Batch, BatchId, BatchStatus, Coupon, Redemption};

/// The active redemptions of a code by each identifier of a person, in the order in which they were made.
type Uses = BTreeMap<(String, PersonName), BTreeSet<i64>>;

/// An identifier of a person: `user:7`, or an address and its exact form within the mailbox.
type PersonName = (String, Option<String>);

/// Sums of redemptions.
#[derive(Default)]
struct RedemptionTotals {
    /// The number of active redemptions of each code.
    live: BTreeMap<String, u32>,
    uses: Uses,
    /// Active redemptions made under a limit per user: the code, the person's identifiers, and the limit.
    limited: BTreeMap<i64, (String, Vec<PersonName>, u32)>,
}

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut totals = read_redemptions(tx, report)?;
    let mut generated: BTreeMap<BatchId, i64> = BTreeMap::new();
    for coupon in tx.scan::<Coupon>().rows() {
        let coupon = coupon?;
        let live = totals.live.remove(&coupon.code).unwrap_or(0);
        report.check("coupon: redeemed = active redemptions", live == coupon.redeemed, || {
            format!("a coupon of promotion {}: {} recorded, {live} active", coupon.promotion_id, coupon.redeemed)
        });
        report.check(
            "coupon: active redemptions ≤ limit",
            coupon.max_redemptions.is_none_or(|most| live <= most),
            || format!("a coupon of promotion {}: {live} active of {:?}", coupon.promotion_id, coupon.max_redemptions),
        );
        if let Some(id) = coupon.batch_id {
            *generated.entry(id).or_default() += 1;
        }
    }
    report.check("coupon: every redemption belongs to a coupon", totals.live.is_empty(), || {
        format!("{} redeemed codes do not exist", totals.live.len())
    });
    for (id, (code, names, limit)) in &totals.limited {
        let of = |name: &PersonName| totals.uses.get(&(code.clone(), name.clone())).into_iter().flatten();
        let until: BTreeSet<&i64> = names.iter().flat_map(of).filter(|other| *other <= id).collect();
        let within = until.len() <= usize::try_from(*limit).unwrap_or(usize::MAX);
        report.check("coupon: a person's active redemptions ≤ limit", within, || {
            format!("redemption {id} is number {} of {limit}", until.len())
        });
    }
    check_batches(tx, report, &generated)
}

fn read_redemptions(tx: &Tx<'_>, report: &mut Report) -> Result<RedemptionTotals, StoreError> {
    let mut totals = RedemptionTotals::default();
    let mut orders: BTreeMap<OrderId, Vec<(i64, Amount)>> = BTreeMap::new();
    for redemption in tx.scan::<Redemption>().rows() {
        let redemption = redemption?;
        let live = redemption.state == HoldState::Held;
        let released = redemption.state == HoldState::Released && redemption.released_at.is_some();
        report.check("coupon: a redemption is active or released", live != released, || {
            format!("redemption {} is {}", redemption.id, redemption.state)
        });
        let matches =
            redemption.order_id.map(order_reference).is_none_or(|reference| reference == redemption.reference);
        report.check("coupon: an order's redemption has the order's reference", matches, || {
            format!("redemption {}", redemption.id)
        });
        if live {
            add_redemption(&mut totals, &redemption);
            if let Some(order) = redemption.order_id {
                orders.entry(order).or_default().push((redemption.promotion_id.0, Amount::ZERO));
            }
        }
    }
    orders.into_iter().for_each(|(order, keys)| report.right(REDEEMED, order, shares(keys)));
    Redemption::audit(tx, report)?;
    Ok(totals)
}

fn add_redemption(totals: &mut RedemptionTotals, redemption: &Redemption) {
    *totals.live.entry(redemption.code.clone()).or_default() += 1;
    let by_user = redemption.user_id.map(|id| (format!("user:{id}"), None));
    let by_email = redemption.emails().map(|key| (key.name, key.exact));
    let names: Vec<PersonName> = by_user.into_iter().chain(by_email).collect();
    for name in &names {
        totals.uses.entry((redemption.code.clone(), name.clone())).or_default().insert(redemption.id);
    }
    if let Some(limit) = redemption.user_limit {
        totals.limited.insert(redemption.id, (redemption.code.clone(), names, limit));
    }
}

fn check_batches(tx: &Tx<'_>, report: &mut Report, generated: &BTreeMap<BatchId, i64>) -> Result<(), StoreError> {
    for batch in tx.scan::<Batch>().rows() {
        let batch = batch?;
        let codes = generated.get(&batch.id).copied().unwrap_or(0);
        report.check("coupon: a batch counts its codes", codes == batch.generated, || {
            format!("batch {}: {} recorded, {codes} found", batch.id, batch.generated)
        });
        let complete = batch.status != BatchStatus::Completed || batch.generated == batch.count;
        report.check("coupon: a completed batch is complete", complete, || format!("batch {}", batch.id));
        let making = batch.making.is_some() == (batch.status == BatchStatus::Generating);
        report.check("coupon: a batch is being generated while it is GENERATING", making, || {
            format!("batch {}", batch.id)
        });
    }
    Ok(())
}
