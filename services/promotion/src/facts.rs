//! Queries facts for an evaluation from other services: the buyer, the eligibility of campaigns, price and stock of
//! gifts. Only facts that a candidate promotion needs are queried.

use std::collections::HashMap;

use promox_contract::buyer::Buyer;
use promox_contract::campaign::{GetCampaignStates, GetCustomerSegments};
use promox_contract::ids::CampaignId;
use promox_contract::inventory::GetAvailableStock;
use promox_contract::order::GetPurchaseTotals;
use promox_contract::product::DescribeSkus;
use promox_contract::promotion::{Customer, RejectReason};
use promox_contract::reward::GetTier;
use promox_contract::store::GetStoreProfile;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Currency, Cx, Error, Sku, UserId};

use crate::rules::{CampaignEligibility, GiftStock, Needs};

/// Seconds per day.
const DAY: u64 = 24 * 3600;

/// The store's currency, which is that of all promotions.
pub(crate) async fn currency(cx: &Cx) -> Result<Currency, Error> {
    Ok(cx.call(GetStoreProfile {}).await?.currency)
}

/// The facts about a buyer that promotions need.
pub(crate) async fn customer(cx: &Cx, buyer: &Buyer, needs: &Needs) -> Result<Customer, Error> {
    let (user, email) = (buyer.user_id, buyer.email().cloned());
    let mut customer = Customer { id: user, email, is_guest: user.is_none(), ..Customer::default() };
    if let Some(id) = user.filter(|_| needs.profile || needs.segments) {
        profile(cx, id, &mut customer).await?;
    }
    if (needs.purchases || needs.segments) && (user.is_some() || customer.email.is_some()) {
        let purchases = cx.call(GetPurchaseTotals { buyer: buyer.clone() }).await?;
        customer.order_count = purchases.count;
        customer.total_spent = purchases.total;
    }
    if let Some(user_id) = user.filter(|_| needs.tier || needs.segments) {
        customer.tier = Some(cx.call(GetTier { user_id }).await?.tier);
    }
    if needs.segments {
        customer.segments = cx.call(GetCustomerSegments { customer: customer.clone() }).await?.names;
    }
    Ok(customer)
}

/// Adds the facts from the buyer's account.
async fn profile(cx: &Cx, id: UserId, customer: &mut Customer) -> Result<(), Error> {
    let Some(user) = cx.call(DescribeUsers { ids: vec![id] }).await?.items.into_iter().next() else { return Ok(()) };
    let days = cx.now.since(user.registered_at).as_secs() / DAY;
    customer.registered_days = i64::try_from(days).ok();
    customer.attributes = user.attributes;
    Ok(())
}

/// The eligibility of campaigns for a buyer. Unknown campaigns have no entry.
pub(crate) async fn campaigns(
    cx: &Cx,
    mut ids: Vec<CampaignId>,
    customer: &Customer,
) -> Result<HashMap<CampaignId, CampaignEligibility>, Error> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let states = cx.call(GetCampaignStates { ids, customer: Some(customer.clone()) }).await?.items;
    let eligibility = |state: promox_contract::campaign::CampaignState| {
        let refused = match (state.running, state.in_audience) {
            (false, _) => Some(state.reason.unwrap_or(RejectReason::Paused)),
            (true, false) => Some(RejectReason::NotEligible),
            (true, true) => None,
        };
        (state.id, CampaignEligibility { refused, left: state.left })
    };
    Ok(states.into_iter().map(eligibility).collect())
}

/// The price and stock of possible gifts, by their current and former SKUs. SKUs that are not in the catalog are left
/// out.
pub(crate) async fn gifts(cx: &Cx, mut skus: Vec<Sku>) -> Result<HashMap<Sku, GiftStock>, Error> {
    skus.sort();
    skus.dedup();
    if skus.is_empty() {
        return Ok(HashMap::new());
    }
    let found = cx.call(DescribeSkus { skus }).await?.items;
    let variants = found.iter().map(|item| item.variant_id).collect();
    let available = cx.call(GetAvailableStock { variants }).await?.available;
    let mut gifts = HashMap::with_capacity(found.len());
    for (item, available) in found.into_iter().zip(available) {
        let gift = GiftStock { sku: item.sku.clone(), price: item.price, available };
        gifts.extend(item.former_skus.into_iter().map(|former| (former, gift.clone())));
        gifts.insert(item.sku, gift);
    }
    Ok(gifts)
}
