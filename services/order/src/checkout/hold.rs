//! Holding everything at once, and letting go of it again: stock, promotions' uses and budgets, coupons, points, flash pieces.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use promox_contract::campaign::{CampaignAmount, HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{ClaimReservations, ReleaseClaims};
use promox_contract::ids::{CampaignId, OrderId, PromotionId, VariantId};
use promox_contract::inventory::{GiveBackStock, HoldStock, VariantQuantity};
use promox_contract::promotion::{HoldUses, PromotionUse, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Amount, Cx, Error};

use crate::checkout::NewOrder;
use crate::records::{Order, OrderItem};
use crate::rules::request;

/// What of an order's holds there is to let go.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each says of one service whether it holds anything")]
pub(crate) struct Kept {
    pub(crate) uses: bool,
    pub(crate) budgets: bool,
    pub(crate) coupons: bool,
    pub(crate) points: bool,
    pub(crate) flash: bool,
}

impl Kept {
    /// What an order to be wants to hold.
    fn wanted(order: &NewOrder) -> Self {
        let extras = &order.extras;
        Self {
            uses: !extras.uses.is_empty(),
            budgets: extras.uses.iter().any(|used| used.campaign_id.is_some()),
            coupons: extras.uses.iter().any(|used| used.coupon_code.is_some()),
            points: order.priced.totals.points_redeemed > 0,
            flash: !extras.flash_reservations.is_empty(),
        }
    }

    /// What an order holds or has posted, by its own rows.
    pub(crate) fn of(order: &Order, items: &[OrderItem]) -> Self {
        let applied = !order.details.applied.is_empty();
        Self {
            uses: applied,
            budgets: applied,
            coupons: order.details.applied.iter().any(|applied| applied.coupon_code.is_some()),
            points: order.points_redeemed > 0 || order.points_earned > 0,
            flash: items.iter().any(|item| item.flash_sale_id.is_some()),
        }
    }
}

/// Holds everything that an order wants, at once. After a refusal, which is the inner error, what was held is let go again; the
/// outer error says that this did not work, so that something may still be held.
pub(crate) async fn hold_all(cx: &Cx, order_id: OrderId, order: &NewOrder) -> Result<Result<(), Error>, Error> {
    let kept = Kept::wanted(order);
    let (user_id, extras) = (order.user_id, &order.extras);
    let buyer = || extras.buyer.clone().unwrap_or_default();
    let stock = cx.call(HoldStock { order_id, items: stock_items(order)? });
    let uses = when(kept.uses, || HoldUses {
        order_id,
        buyer: buyer(),
        address_key: extras.address_key.clone(),
        uses: extras.uses.clone(),
    });
    let budgets = when(kept.budgets, || HoldBudgets { order_id, amounts: amounts(&extras.uses) });
    let codes = || extras.uses.iter().filter_map(|used| used.coupon_code.clone()).collect();
    let coupons = when(kept.coupons, || HoldCoupons { order_id, buyer: buyer(), codes: codes() });
    let points =
        when(kept.points, || user_id.map(|user_id| HoldPoints { order_id, user_id, points: points(order) })).flatten();
    let flash = when(kept.flash, || ClaimReservations {
        order_id,
        user_id,
        reservation_ids: extras.flash_reservations.clone(),
    });
    let held = tokio::join!(
        async { stock.await.map(drop) },
        maybe(uses, |op| cx.call(op)),
        maybe(budgets, |op| cx.call(op)),
        maybe(coupons, |op| cx.call(op)),
        maybe(points, |op| cx.call(op)),
        maybe(flash, |op| cx.call(op)),
    );
    let (stock, uses, budgets, coupons, points, flash) = held;
    let stock_is_held = stock.as_ref().err().is_none_or(|error| !error.is_decided());
    let results = [stock, uses, budgets, coupons, points, flash];
    let Some(error) = results.into_iter().find_map(Result::err) else { return Ok(Ok(())) };
    let_go(&cx.elevated(), order_id, kept, stock_is_held).await?;
    Ok(Err(error))
}

/// Lets go of what an order to be may hold.
pub(crate) async fn let_go_of_wanted(cx: &Cx, order_id: OrderId, order: &NewOrder) -> Result<(), Error> {
    let_go(cx, order_id, Kept::wanted(order), true).await
}

/// Lets go of what an order holds or has bought, in the reverse order of holding. Every step may be asked again.
pub(crate) async fn let_go(cx: &Cx, order_id: OrderId, kept: Kept, stock: bool) -> Result<(), Error> {
    maybe(when(kept.flash, || ReleaseClaims { order_id }), |op| cx.call(op)).await?;
    maybe(when(kept.points, || ReleasePoints { order_id }), |op| cx.call(op)).await?;
    maybe(when(kept.coupons, || ReleaseCoupons { order_id }), |op| cx.call(op)).await?;
    maybe(when(kept.budgets, || ReleaseBudgets { order_id }), |op| cx.call(op)).await?;
    maybe(when(kept.uses, || ReleaseUses { order_id }), |op| cx.call(op)).await?;
    maybe(when(stock, || GiveBackStock { order_id }), |op| cx.call(op)).await
}

fn when<T>(wanted: bool, make: impl FnOnce() -> T) -> Option<T> {
    wanted.then(make)
}

async fn maybe<O, F: Future<Output = Result<(), Error>>>(
    op: Option<O>,
    call: impl FnOnce(O) -> F,
) -> Result<(), Error> {
    match op {
        Some(op) => call(op).await,
        None => Ok(()),
    }
}

/// Each variant once; flash lines are set aside already, gifts are held like any goods.
fn stock_items(order: &NewOrder) -> Result<Vec<VariantQuantity>, Error> {
    let mut items: Vec<VariantQuantity> = Vec::with_capacity(order.priced.lines.len());
    let mut places: HashMap<VariantId, usize> = HashMap::with_capacity(order.priced.lines.len());
    for line in order.priced.lines.iter().filter(|line| line.flash_sale_id.is_none()) {
        let Some(variant_id) = line.variant_id else { continue };
        let place = *places.entry(variant_id).or_insert(items.len());
        match items.get_mut(place) {
            Some(item) => item.quantity = request::together(item.quantity, line.quantity, "/items")?,
            None => items.push(VariantQuantity { variant_id, sku: line.sku.clone(), quantity: line.quantity }),
        }
    }
    Ok(items)
}

fn points(order: &NewOrder) -> u32 {
    u32::try_from(order.priced.totals.points_redeemed).unwrap_or(u32::MAX)
}

/// What each campaign pays.
fn amounts(uses: &[PromotionUse]) -> Vec<CampaignAmount> {
    let mut by_campaign: BTreeMap<CampaignId, Amount> = BTreeMap::new();
    for used in uses {
        if let Some(campaign) = used.campaign_id {
            *by_campaign.entry(campaign).or_default() += used.amount;
        }
    }
    by_campaign.into_iter().map(|(campaign_id, amount)| CampaignAmount { campaign_id, amount }).collect()
}

/// Whether a refusal is about a promotion or a gift that the buyer did not ask for: then the order is priced again without
/// it.
pub(crate) fn lost_automatic(error: &Error, order: &NewOrder) -> bool {
    if error.code() == "INSUFFICIENT_STOCK" {
        return lost_gift(error, order);
    }
    if error.code() != "PROMOTION_INVALID" {
        return false;
    }
    let id = |name: &str| error.members().get(name).and_then(serde_json::Value::as_i64);
    let about = |used: &&PromotionUse| {
        id("promotionId").map(PromotionId) == Some(used.promotion_id)
            || (id("campaignId").is_some() && id("campaignId").map(CampaignId) == used.campaign_id)
    };
    order.extras.uses.iter().filter(about).any(|used| !used.named)
}

/// Whether what is short was to be given.
fn lost_gift(error: &Error, order: &NewOrder) -> bool {
    let short = error.members().get("items").and_then(serde_json::Value::as_array);
    let skus: Vec<&str> = short.into_iter().flatten().filter_map(|item| item.get("sku")?.as_str()).collect();
    let mut gifts = order.priced.lines.iter().filter(|line| line.unit_price.is_zero() && !line.list_price.is_zero());
    gifts.any(|gift| skus.iter().any(|sku| gift.sku.fold() == sku.to_lowercase()))
}
