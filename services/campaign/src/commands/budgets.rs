//! Budgets: held when an order is placed, spent when it is confirmed, given back once when it is undone.

use promox_contract::campaign::CampaignAmount;
use promox_contract::ids::{CampaignId, OrderId};
use promox_kernel::{Amount, Error};
use promox_storage::{Begin, Hold, HoldState, HoldStep, Tx};

use super::moves::end_if_spent;
use crate::records::{BudgetUse, Campaign};
use crate::reject;

/// Holds budgets for an order, all or nothing. What the order has already is answered again; what it released it does not get
/// again.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, amounts: &[CampaignAmount]) -> Result<(), Error> {
    match BudgetUse::begin(tx, &order_id)? {
        Begin::New => {}
        Begin::Already(_) => return Ok(()),
        Begin::Ended(_) => return Err(reject::released(order_id)),
    }
    let mut taken = Vec::with_capacity(amounts.len());
    for it in amounts {
        let campaign = tx.get::<Campaign>(&it.campaign_id)?.ok_or(Error::not_found("campaign"))?;
        if let Some(left) = campaign.left().filter(|left| *left < it.amount) {
            return Err(reject::exhausted(it.campaign_id, left));
        }
        taken.push((campaign, it.amount));
    }
    let held_at = tx.now();
    for (mut campaign, amount) in taken {
        campaign.take(amount, Amount::ZERO);
        let state = HoldState::Held;
        tx.insert(&BudgetUse { order_id, campaign_id: campaign.id, amount, state, held_at, changed_at: None })?;
        tx.put(&campaign)?;
    }
    Ok(())
}

/// What becomes of the budget. A campaign that has spent all of it ends.
fn apply(tx: &mut Tx<'_>, it: &mut BudgetUse, step: HoldStep) -> Result<(), Error> {
    let Some(mut campaign) = tx.get::<Campaign>(&it.campaign_id)? else { return Ok(()) };
    match step {
        HoldStep::Post => {
            campaign.take(-it.amount, it.amount);
            end_if_spent(tx, &mut campaign)?;
        }
        HoldStep::Release | HoldStep::Expire => campaign.take(-it.amount, Amount::ZERO),
        HoldStep::Reverse => campaign.take(Amount::ZERO, -it.amount),
    }
    Ok(tx.put(&campaign)?)
}

/// The order is confirmed: what it holds is spent.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::post(tx, &order_id, apply)
}

/// The order is not to be: what it holds or spent is given back.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::release(tx, &order_id, apply)
}

/// What an engine that locks takes one after the other: the campaigns' rows.
pub(crate) fn lock(id: CampaignId) -> Vec<u8> {
    format!("campaign:{id}").into_bytes()
}
