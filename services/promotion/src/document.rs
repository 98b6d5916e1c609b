//! Prepares a promotion's document for storage: applies patches, type-checks, and checks campaigns and gifts.

use promox_contract::campaign::GetCampaignStates;
use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::product::DescribeSkus;
use promox_kernel::{Cx, Error, Faults, FieldError, Patch, Sku, bind_json};
use serde_json::{Map, Value};

use crate::api::UpdatePromotion;
use crate::facts::currency;
use crate::rules::{self, Rule};

/// Validates a document for storage: it must type-check, and its campaign and gifts must exist. Returns it with
/// defaults filled in and amounts in the scale of the store's currency.
pub(crate) async fn validate_document(
    cx: &Cx,
    promotion: rules::Promotion,
    before: Option<&rules::Promotion>,
) -> Result<rules::Promotion, Error> {
    let (promotion, currency) = (promotion.with_defaults(), currency(cx).await?);
    Rule::compile(PromotionId(1), &promotion, currency, "").map_err(Error::invalid)?;
    if promotion.campaign_id != before.and_then(|before| before.campaign_id)
        && let Some(id) = promotion.campaign_id
    {
        require_campaign(cx, id).await?;
    }
    if promotion.actions != before.map_or(&[][..], |before| &before.actions) {
        require_gifts(cx, &promotion, "").await?;
    }
    Ok(promotion.in_scale(currency))
}

/// Checks that a promotion's gifts are in the catalog. `pointer` is the JSON pointer of the promotion in the request.
pub(crate) async fn require_gifts(cx: &Cx, promotion: &rules::Promotion, pointer: &str) -> Result<(), Error> {
    let gifts: Vec<(usize, Sku)> = promotion.gifts().map(|(i, sku)| (i, sku.clone())).collect();
    if gifts.is_empty() {
        return Ok(());
    }
    let known = cx.call(DescribeSkus { skus: gifts.iter().map(|(_, sku)| sku.clone()).collect() }).await?.by_sku();
    let unknown = gifts.into_iter().filter(|(_, sku)| !known.contains_key(sku));
    let fault =
        |(i, sku)| FieldError::new(format!("{pointer}/actions/{i}/sku"), format!("{sku} is not in the catalog"));
    let faults: Faults = unknown.map(fault).collect();
    faults.finish()
}

async fn require_campaign(cx: &Cx, id: CampaignId) -> Result<(), Error> {
    let known = cx.call(GetCampaignStates { ids: vec![id], customer: None }).await?.items;
    if known.is_empty() { Err(Error::field("/campaignId", "this campaign does not exist")) } else { Ok(()) }
}

/// Applies a merge patch (RFC 7396) to a document.
pub(crate) fn merged(before: &rules::Promotion, op: UpdatePromotion) -> Result<rules::Promotion, Error> {
    let members = [
        ("name", op.name),
        ("code", op.code),
        ("couponOnly", op.coupon_only),
        ("campaignId", op.campaign_id),
        ("stage", op.stage),
        ("priority", op.priority),
        ("stacking", op.stacking),
        ("includeFlash", op.include_flash),
        ("startsAt", op.starts_at),
        ("endsAt", op.ends_at),
        ("timezone", op.timezone),
        ("schedule", op.schedule),
        ("when", op.when),
        ("actions", op.actions),
        ("limits", op.limits),
    ];
    let mut document = serde_json::to_value(before).map_err(Error::internal)?;
    let patch: Map<String, Value> = members
        .into_iter()
        .filter_map(|(name, patch)| match patch {
            Patch::Keep => None,
            Patch::Clear => Some((name.to_owned(), Value::Null)),
            Patch::Set(value) => Some((name.to_owned(), value)),
        })
        .collect();
    merge(&mut document, Value::Object(patch));
    bind_json(&serde_json::to_vec(&document).map_err(Error::internal)?)
}

/// Applies a merge patch to a value. A complete condition replaces the existing one, because merging two conditions
/// makes no sense. Nulls are kept: reading the document clears optional members by them, and refuses them where a member
/// must have a value or does not exist.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if name == "when" && is_complete_condition(&value) {
            target.insert(name, value);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Whether a patch's condition is complete.
fn is_complete_condition(condition: &Value) -> bool {
    let has = |name| condition.get(name).is_some_and(|it| !it.is_null());
    ["all", "any", "not"].into_iter().any(has) || ["field", "op", "value"].into_iter().all(has)
}
