//! Checks of requests: the members of segments, and what other services refer to.

use promox_contract::codes;
use promox_contract::condition::{Condition, Subject, Test};
use promox_contract::flashsale::FindReferencingSale;
use promox_contract::ids::{CampaignId, FlashSaleId, PromotionId};
use promox_contract::promotion::FindReferencingPromotion;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_kernel::{Currency, Cx, Error, FieldError, UserId, bounded};

use crate::commands::segments::Membership;
use crate::records::Segment;
use crate::reject;

pub(crate) async fn store(cx: &Cx) -> Result<StoreProfile, Error> {
    cx.call(GetStoreProfile {}).await
}

/// Refuses while a promotion or a flash sale belongs to the campaign.
pub(crate) async fn check_campaign_unused(cx: &Cx, id: CampaignId) -> Result<(), Error> {
    let op = FindReferencingPromotion { campaign_id: Some(id), ..FindReferencingPromotion::default() };
    if let Some(PromotionId(id)) = cx.call(op).await?.promotion_id {
        return Err(reject::campaign_in_use("promotionId", "promotion", id));
    }
    if let Some(FlashSaleId(id)) = cx.call(FindReferencingSale { campaign_id: id }).await?.flash_sale_id {
        return Err(reject::campaign_in_use("flashSaleId", "flash sale", id));
    }
    Ok(())
}

/// Refuses while a promotion's conditions refer to the segment by name, because their meaning would change.
pub(crate) async fn check_segment_unused(cx: &Cx, segment: Segment) -> Result<(), Error> {
    let op = FindReferencingPromotion { segment: Some(segment.name), ..FindReferencingPromotion::default() };
    match cx.call(op).await?.promotion_id {
        Some(promotion_id) => Err(reject::segment_in_promotion(promotion_id)),
        None => Ok(()),
    }
}

/// Maximum accounts in a segment's list, so that all of them can be replaced in one transaction.
const MAX_LISTED: usize = 8_000;

pub(crate) fn segment_name(name: &str) -> Result<String, Error> {
    bounded(name, 1, 100).map_err(|detail| Error::field("/name", detail))
}

pub(crate) fn rule_or_list_required() -> Error {
    let detail = "a segment must have either a rule or userIds".to_owned();
    Error::invalid(vec![FieldError::coded("/rule", codes::MISSING, detail)])
}

pub(crate) fn checked_rule(rule: Condition, currency: Currency) -> Result<Membership, Error> {
    Test::<()>::read(&rule, "/rule", Subject::Customer, currency).map_err(Error::invalid)?;
    Ok(Membership::Rule(rule))
}

pub(crate) fn checked_list(mut ids: Vec<UserId>) -> Result<Membership, Error> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MAX_LISTED {
        return Err(Error::field("/userIds", format!("must list at most {MAX_LISTED} accounts; use a rule for more")));
    }
    Ok(Membership::Listed(ids))
}
