//! Checks of requests that need other services: the catalog, campaigns.

use promox_contract::campaign::GetCampaignStates;
use promox_contract::ids::CampaignId;
use promox_contract::product::{DescribeSkus, ResolveSkus, SkuDescriptions};
use promox_contract::promotion::{Customer, RejectReason};
use promox_kernel::{Cx, Error, Sku, UserId};

use crate::api::SaleView;
use crate::records::{SaleStatus, Terms};
use crate::reject;

/// Validates the terms of a sale against the catalog and its campaign.
pub(crate) async fn terms(cx: &Cx, mut terms: Terms) -> Result<Terms, Error> {
    let mut skus: Vec<Sku> = terms.items.iter().map(|item| item.sku.clone()).collect();
    skus.sort();
    skus.dedup();
    let nothing = SkuDescriptions { items: Vec::new() };
    let described = if skus.is_empty() { nothing } else { cx.call(DescribeSkus { skus }).await? };
    terms.check(described, cx.now)?;
    if let Some(id) = terms.campaign_id
        && cx.call(GetCampaignStates { ids: vec![id], customer: None }).await?.items.is_empty()
    {
        return Err(Error::field("/campaignId", "this campaign does not exist"));
    }
    Ok(terms)
}

/// Refuses if the campaign is not running or the user is not in its audience.
pub(crate) async fn check_campaign(cx: &Cx, id: CampaignId, user: UserId) -> Result<(), Error> {
    let customer = Customer { id: Some(user), ..Customer::default() };
    let states = cx.call(GetCampaignStates { ids: vec![id], customer: Some(customer) }).await?.items;
    match states.first().filter(|state| state.running) {
        None => Err(reject::not_active(SaleStatus::Active)),
        Some(state) if !state.in_audience => Err(reject::not_in_audience()),
        Some(_) => Ok(()),
    }
}

/// The ids of those campaigns that are running.
pub(crate) async fn running_campaigns(cx: &Cx, ids: Vec<CampaignId>) -> Result<Vec<CampaignId>, Error> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let states = cx.call(GetCampaignStates { ids, customer: None }).await?.items;
    Ok(states.into_iter().filter(|state| state.running).map(|state| state.id).collect())
}

/// Replaces the SKUs of items by their current ones.
pub(crate) async fn update_skus(cx: &Cx, sales: &mut [SaleView]) -> Result<(), Error> {
    let skus: Vec<Sku> = sales.iter().flat_map(|sale| &sale.items).map(|item| item.sku.clone()).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let found = cx.call(ResolveSkus { skus }).await?.variants;
    for (item, variant) in sales.iter_mut().flat_map(|sale| &mut sale.items).zip(found) {
        item.sku = variant.map_or_else(|| item.sku.clone(), |variant| variant.sku);
    }
    Ok(())
}

/// The ids of those campaigns that are paused or over, with the reason. Their reservations cannot be bought now,
/// whereas a campaign outside its hours or with an exhausted budget still lets earlier reservations be bought.
pub(crate) async fn stopped_campaigns(cx: &Cx, ids: Vec<CampaignId>) -> Result<Vec<(CampaignId, RejectReason)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let states = cx.call(GetCampaignStates { ids, customer: None }).await?.items;
    let stopped = |reason: &RejectReason| matches!(reason, RejectReason::Paused | RejectReason::Expired);
    Ok(states.into_iter().filter_map(|state| Some((state.id, state.reason.filter(stopped)?))).collect())
}
