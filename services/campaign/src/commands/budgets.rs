//! Budgets are held when an order is placed, spent when it is confirmed, and released once when it fails or is
//! cancelled.

use promox_contract::campaign::CampaignAmount;
use promox_contract::ids::{CampaignId, OrderId};
use promox_kernel::{Amount, Error};
use promox_storage::{Begin, Hold, HoldState, HoldStep, Tx};

use super::transitions::end_if_spent;
use crate::records::{BudgetUse, Campaign};
use crate::reject;

/// Holds budgets for an order, all or nothing. Repeating the call changes nothing; after a release it is refused.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, amounts: &[CampaignAmount]) -> Result<(), Error> {
    match BudgetUse::begin(tx, &order_id)? {
        Begin::New => {}
        Begin::Already(_) => return Ok(()),
        Begin::Ended(_) => return Err(reject::budget_released(order_id)),
    }
    let mut holds = Vec::with_capacity(amounts.len());
    for requested in amounts {
        let campaign = tx.get::<Campaign>(&requested.campaign_id)?.ok_or(Error::not_found("campaign"))?;
        if let Some(left) = campaign.left().filter(|left| *left < requested.amount) {
            return Err(reject::budget_exhausted(requested.campaign_id, left));
        }
        holds.push((campaign, requested.amount));
    }
    let held_at = tx.now();
    for (mut campaign, amount) in holds {
        campaign.use_budget(amount, Amount::ZERO);
        let state = HoldState::Held;
        tx.insert(&BudgetUse { order_id, campaign_id: campaign.id, amount, state, held_at, changed_at: None })?;
        tx.put(&campaign)?;
    }
    Ok(())
}

/// Applies a step of a hold to the budget. A campaign that has spent all of its budget ends.
fn apply_step(tx: &mut Tx<'_>, held: &mut BudgetUse, step: HoldStep) -> Result<(), Error> {
    let Some(mut campaign) = tx.get::<Campaign>(&held.campaign_id)? else { return Ok(()) };
    match step {
        HoldStep::Post => {
            campaign.use_budget(-held.amount, held.amount);
            end_if_spent(tx, &mut campaign)?;
        }
        HoldStep::Release | HoldStep::Expire => campaign.use_budget(-held.amount, Amount::ZERO),
        HoldStep::Reverse => campaign.use_budget(Amount::ZERO, -held.amount),
    }
    Ok(tx.put(&campaign)?)
}

/// Posts a confirmed order's holds, so that their amounts are spent.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::post(tx, &order_id, apply_step)
}

/// Releases the amounts that an order holds or has spent.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    BudgetUse::release(tx, &order_id, apply_step)
}

/// The lock key of a campaign's row, for engines with row locks.
pub(crate) fn lock_key(id: CampaignId) -> Vec<u8> {
    format!("campaign:{id}").into_bytes()
}
