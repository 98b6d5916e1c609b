//! Budgets: held when an order is placed, spent when it is confirmed, released once when it fails or is cancelled.

use promox_contract::campaign::CampaignAmount;
use promox_contract::ids::{CampaignId, OrderId};
use promox_kernel::{Amount, Error};
use promox_storage::{Begin, Hold, HoldState, HoldStep, Tx};

use super::moves::end_if_spent;
use crate::records::{BudgetUse, Campaign};
use crate::reject;

/// Holds budgets for an order, all or nothing. Repeating it changes nothing; after a release it is refused.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, amounts: &[CampaignAmount]) -> Result<(), Error> {
    match BudgetUse::begin(tx, &order_id)? {
        Begin::New => {}
        Begin::Already(_) => return Ok(()),
        Begin::Ended(_) => return Err(reject::released(order_id)),
    }
    let mut taken = Vec::with_capacity(amounts.len());
    for wanted in amounts {
        let campaign = tx.get::<Campaign>(&wanted.campaign_id)?.ok_or(Error::not_found("campaign"))?;
        if let Some(left) = campaign.left().filter(|left| *left < wanted.amount) {
            return Err(reject::exhausted(wanted.campaign_id, left));
        }
        taken.push((campaign, wanted.amount));
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

/// Changes the budget by one step of a hold. A campaign that has spent all of its budget ends.
fn apply(tx: &mut Tx<'_>, held: &mut BudgetUse, step: HoldStep) -> Result<(), Error> {
    let Some(mut campaign) = tx.get::<Campaign>(&held.campaign_id)? else { return Ok(()) };
    match step {
        HoldStep::Post => {
            campaign.take(-held.amount, held.amount);
            end_if_spent(tx, &mut campaign)?;
        }
        HoldStep::Release | HoldStep::Expire => campaign.take(-held.amount, Amount::ZERO),
        HoldStep::Reverse => campaign.take(Amount::ZERO, -held.amount),
    }
    Ok(tx.put(&campaign)?)
}

/// Posts a confirmed order's hold: its amounts are spent.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::post(tx, &order_id, apply)
}

/// Releases what an order holds or spent.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::release(tx, &order_id, apply)
}

/// Lock key of a campaign's row, for engines with row locks.
pub(crate) fn lock(id: CampaignId) -> Vec<u8> {
    format!("campaign:{id}").into_bytes()
}
