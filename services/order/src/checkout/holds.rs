//! Holds of a checkout in other services: stock, promotion uses, campaign budgets, coupons, points and flash sale
//! units.
//!
//! Holds are taken as links of the chain that opens the order, and released one by one in reverse order. Holding and
//! releasing can be repeated.

use std::collections::{BTreeMap, HashMap};

use promox_contract::campaign::{CampaignAmount, HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashReservations, ReleaseFlashReservations};
use promox_contract::ids::{CampaignId, OrderId, VariantId};
use promox_contract::inventory::{HoldStock, ReleaseStock, VariantQuantity};
use promox_contract::order_line::OrderLine;
use promox_contract::promotion::{HoldUses, PromotionUse, RejectReason, ReleaseUses};
use promox_contract::refusal::{InsufficientStock, PromotionUnusable};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Amount, Cx, Error};
use promox_storage::{Chain, Outcome};

use crate::checkout::draft::NewOrder;
use crate::records::{Order, OrderItem};
use crate::rules::request;

/// A kind of hold that an order takes in another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Stock,
    Uses,
    Budgets,
    Coupons,
    Points,
    FlashUnits,
}

impl Hold {
    /// All kinds, in the order in which they are taken.
    const ALL: [Self; 6] = [Self::Stock, Self::Uses, Self::Budgets, Self::Coupons, Self::Points, Self::FlashUnits];

    /// Whether a new order needs this hold.
    fn is_needed_by(self, order: &NewOrder) -> bool {
        let entitlements = &order.entitlements;
        match self {
            Self::Stock => true,
            Self::Uses => !entitlements.uses.is_empty(),
            Self::Budgets => entitlements.uses.iter().any(|used| used.campaign_id.is_some()),
            Self::Coupons => entitlements.uses.iter().any(|used| used.coupon_code.is_some()),
            Self::Points => order.priced.totals.points_redeemed > 0 && order.user_id.is_some(),
            Self::FlashUnits => !entitlements.flash_reservations.is_empty(),
        }
    }

    /// Whether an order may have taken this hold, posted or not, according to the order's rows.
    fn may_belong_to(self, order: &Order, items: &[OrderItem]) -> bool {
        let applied = &order.details.applied;
        match self {
            Self::Stock => true,
            Self::Uses | Self::Budgets => !applied.is_empty(),
            Self::Coupons => applied.iter().any(|applied| applied.coupon_code.is_some()),
            Self::Points => order.points_redeemed > 0 || order.points_earned > 0,
            Self::FlashUnits => items.iter().any(|item| item.flash_sale_id.is_some()),
        }
    }

    /// Appends this hold of a new order to the chain.
    fn append(self, chain: &mut Chain<()>, order_id: OrderId, order: &NewOrder) -> Result<(), Error> {
        let (user_id, entitlements) = (order.user_id, &order.entitlements);
        let (uses, buyer) = (&entitlements.uses, || entitlements.buyer.clone().unwrap_or_default());
        match self {
            Self::Stock => chain.then_call(HoldStock { order_id, items: stock_items(order)? }, drop),
            Self::Uses => {
                let (address_key, uses) = (entitlements.address_key.clone(), uses.clone());
                chain.then_call(HoldUses { order_id, buyer: buyer(), address_key, uses }, drop);
            }
            Self::Budgets => chain.then_call(HoldBudgets { order_id, amounts: campaign_amounts(uses) }, drop),
            Self::Coupons => {
                let codes = uses.iter().filter_map(|used| used.coupon_code.clone()).collect();
                chain.then_call(HoldCoupons { order_id, buyer: buyer(), codes }, drop);
            }
            Self::Points => {
                let Some(user_id) = user_id else { return Err(Error::internal("points of an order without a user")) };
                chain.then_call(HoldPoints { order_id, user_id, points: points(order) }, drop);
            }
            Self::FlashUnits => {
                let reservation_ids = entitlements.flash_reservations.clone();
                chain.then_call(HoldFlashReservations { order_id, user_id, reservation_ids }, drop);
            }
        }
        Ok(())
    }

    /// Whether this hold may exist after its link ended with `outcome`. If `begun_before`, an earlier driver may have
    /// taken it.
    fn may_be_held(self, outcome: &Outcome<()>, begun_before: bool) -> bool {
        match outcome {
            Outcome::Done(()) => true,
            // A refusal of stock leaves no hold. It is frequent, for sold-out goods, so this saves many releases.
            Outcome::Refused(error) => self != Self::Stock || !error.is_decided(),
            Outcome::Skipped => begun_before,
        }
    }

    async fn release(self, cx: &Cx, order_id: OrderId) -> Result<(), Error> {
        match self {
            Self::Stock => cx.call(ReleaseStock { order_id }).await,
            Self::Uses => cx.call(ReleaseUses { order_id }).await,
            Self::Budgets => cx.call(ReleaseBudgets { order_id }).await,
            Self::Coupons => cx.call(ReleaseCoupons { order_id }).await,
            Self::Points => cx.call(ReleasePoints { order_id }).await,
            Self::FlashUnits => cx.call(ReleaseFlashReservations { order_id }).await,
        }
    }
}

/// A set of holds of an order, in the order in which they are taken.
#[derive(Clone, Debug)]
pub(crate) struct HoldSet(Vec<Hold>);

impl HoldSet {
    /// The holds that a new order needs.
    pub(crate) fn needed_by(order: &NewOrder) -> Self {
        Self(Hold::ALL.into_iter().filter(|hold| hold.is_needed_by(order)).collect())
    }

    /// The holds that an order may have taken, posted or not, according to its rows.
    pub(crate) fn of(order: &Order, items: &[OrderItem]) -> Self {
        Self(Hold::ALL.into_iter().filter(|hold| hold.may_belong_to(order, items)).collect())
    }

    /// Appends these holds of a new order to the chain.
    pub(crate) fn append(&self, chain: &mut Chain<()>, order_id: OrderId, order: &NewOrder) -> Result<(), Error> {
        self.0.iter().try_for_each(|hold| hold.append(chain, order_id, order))
    }

    /// The holds of this set that may exist after their links ended with `outcomes`.
    pub(crate) fn may_be_held(&self, outcomes: &[Outcome<()>], begun_before: bool) -> Self {
        let holds = self.0.iter().zip(outcomes);
        Self(holds.filter(|(hold, outcome)| hold.may_be_held(outcome, begun_before)).map(|(hold, _)| *hold).collect())
    }

    /// Releases these holds in reverse order, even posted ones. Stops at the first error.
    pub(crate) async fn release(&self, cx: &Cx, order_id: OrderId) -> Result<(), Error> {
        for hold in self.0.iter().rev() {
            hold.release(cx, order_id).await?;
        }
        Ok(())
    }
}

/// The stock to hold, with each variant once. Gifts are held like other goods; flash sale units are not, because they
/// are allocated already.
fn stock_items(order: &NewOrder) -> Result<Vec<VariantQuantity>, Error> {
    let mut items: Vec<VariantQuantity> = Vec::with_capacity(order.priced.lines.len());
    let mut positions: HashMap<VariantId, usize> = HashMap::with_capacity(order.priced.lines.len());
    for line in order.priced.lines.iter().filter(|line| line.flash_sale_id.is_none()) {
        let Some(variant_id) = line.variant_id else { continue };
        let position = *positions.entry(variant_id).or_insert(items.len());
        match items.get_mut(position) {
            Some(item) => item.quantity = request::add_units(item.quantity, line.quantity, "/items")?,
            None => items.push(VariantQuantity { variant_id, sku: line.sku.clone(), quantity: line.quantity }),
        }
    }
    Ok(items)
}

/// The points that the order redeems.
fn points(order: &NewOrder) -> u32 {
    u32::try_from(order.priced.totals.points_redeemed).unwrap_or(u32::MAX)
}

/// The amount that each campaign pays.
fn campaign_amounts(uses: &[PromotionUse]) -> Vec<CampaignAmount> {
    let mut by_campaign: BTreeMap<CampaignId, Amount> = BTreeMap::new();
    for used in uses {
        if let Some(campaign) = used.campaign_id {
            *by_campaign.entry(campaign).or_default() += used.amount;
        }
    }
    by_campaign.into_iter().map(|(campaign_id, amount)| CampaignAmount { campaign_id, amount }).collect()
}

/// Whether a refused order can succeed at another price: without a promotion or gift that the buyer did not request, or
/// with what is left of a budget.
pub(crate) fn is_solved_by_repricing(error: &Error, order: &NewOrder) -> bool {
    if let Some(InsufficientStock { items }) = InsufficientStock::of(error) {
        let is_short = |gift: &OrderLine| items.iter().any(|short| short.sku.fold() == gift.sku.fold());
        return order.priced.lines.iter().any(|line| line.is_gift() && is_short(line));
    }
    let Some(unusable) = PromotionUnusable::of(error) else { return false };
    let is_unusable = |used: &&PromotionUse| {
        unusable.promotion_id == Some(used.promotion_id)
            || (unusable.campaign_id.is_some() && unusable.campaign_id == used.campaign_id)
    };
    order
        .entitlements
        .uses
        .iter()
        .filter(is_unusable)
        .any(|used| !used.named || unusable.reason == RejectReason::BudgetExhausted)
}
