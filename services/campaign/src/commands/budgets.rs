//! Budgets: held when an order is placed, spent when it is confirmed, given back once when it is undone.

use promox_contract::campaign::CampaignAmount;
use promox_contract::ids::{CampaignId, OrderId};
use promox_kernel::{Amount, Error};
use promox_storage::{StoreError, Tx};

use super::moves::end_if_spent;
use crate::records::{BudgetUse, Campaign, OrderEnd, UseStatus};
use crate::reject;

fn of_order(tx: &Tx<'_>, order_id: OrderId) -> Result<Vec<BudgetUse>, StoreError> {
    tx.scan::<BudgetUse>().prefix(order_id).rows().collect()
}

/// Takes budgets for an order, all or nothing. What the order has already is answered again; what it gave back it does not
/// get again.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, amounts: &[CampaignAmount]) -> Result<(), Error> {
    let known = of_order(tx, order_id)?;
    let released = known.iter().any(|it| it.status == UseStatus::Released);
    if released || tx.get::<OrderEnd>(&order_id)?.is_some() {
        return Err(reject::released(order_id));
    }
    if !known.is_empty() {
        return Ok(());
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
        let status = UseStatus::Held;
        tx.insert(&BudgetUse { order_id, campaign_id: campaign.id, amount, status, held_at, changed_at: None })?;
        tx.put(&campaign)?;
    }
    Ok(())
}

/// Gives an order's budgets back, held or spent. Without any, it notes that late ones must not be taken.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), StoreError> {
    let known = of_order(tx, order_id)?;
    if known.is_empty() && tx.get::<OrderEnd>(&order_id)?.is_none() {
        let at = tx.now();
        tx.put(&OrderEnd { order_id, at })?;
    }
    for it in known {
        let give = match it.status {
            UseStatus::Held => (-it.amount, Amount::ZERO),
            UseStatus::Spent => (Amount::ZERO, -it.amount),
            UseStatus::Released => continue,
        };
        if let Some(mut campaign) = tx.get::<Campaign>(&it.campaign_id)? {
            campaign.take(give.0, give.1);
            tx.put(&campaign)?;
        }
        mark(tx, it, UseStatus::Released)?;
    }
    Ok(())
}

fn mark(tx: &mut Tx<'_>, mut it: BudgetUse, status: UseStatus) -> Result<(), StoreError> {
    it.status = status;
    it.changed_at = Some(tx.now());
    tx.put(&it)
}

/// What an order holds is spent: it is confirmed. A campaign whose budget that reaches ends.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), StoreError> {
    for it in of_order(tx, order_id)?.into_iter().filter(|it| it.status == UseStatus::Held) {
        if let Some(mut campaign) = tx.get::<Campaign>(&it.campaign_id)? {
            campaign.take(-it.amount, it.amount);
            end_if_spent(tx, &mut campaign)?;
            tx.put(&campaign)?;
        }
        mark(tx, it, UseStatus::Spent)?;
    }
    Ok(())
}

/// What an engine that locks takes one after the other: the campaigns' rows.
pub(crate) fn lock(id: CampaignId) -> Vec<u8> {
    format!("campaign:{id}").into_bytes()
}
