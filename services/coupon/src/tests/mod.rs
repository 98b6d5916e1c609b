//! Tests on the memory engine. Scenarios end with the auditor.

mod batches;
mod codes;
mod limits_per_person;
mod redemptions;
mod transfers;

use promox_contract::ids::PromotionId;
use promox_contract::product::{DescribeSkus, SkuDescriptions};
use promox_contract::promotion::{
    AppliedPromotion, ClaimCodes, CodesInUse, DescribePromotions, EvaluateCart, Evaluation, FindPromotionCodes,
    PromotionDescription, PromotionDescriptions, RejectReason, RejectedPromotion, ReleaseCodes,
};
use promox_contract::user::{DescribeUsers, UserDescriptions};
use promox_kernel::{Amount, Currency, Error, UserId};
use promox_storage::Cache;
use promox_testkit::sample::{amount, sku_description, user_description};
use promox_testkit::{Databases, Harness, Setup};
use serde_json::Value;

use crate::Coupons;

fn taken(codes: Vec<String>) -> CodesInUse {
    CodesInUse { taken: codes.into_iter().filter(|code| code == "SUMMER").collect() }
}

/// Evaluates a cart with a discount of 10 percent for every coupon.
fn evaluate(cart: EvaluateCart) -> Evaluation {
    let sum: Amount = cart.lines.iter().filter_map(|line| line.item.price.times(line.quantity.into())).sum();
    let amount = Currency::GBP.round(sum.0 / amount("10").0);
    let mut evaluation = Evaluation::default();
    for code in cart.codes {
        match cart.coupons.iter().find(|coupon| coupon.code == code) {
            Some(coupon) => evaluation.applied.push(AppliedPromotion {
                promotion_id: coupon.promotion_id,
                name: "10 %".into(),
                code: None,
                coupon_code: Some(code),
                amount,
                shipping_amount: Amount::ZERO,
            }),
            None => evaluation.rejected.push(RejectedPromotion {
                promotion_id: None,
                code: Some(code),
                reason: RejectReason::Unknown,
                details: Vec::new(),
            }),
        }
    }
    evaluation
}

type Shop = Harness<Coupons>;

fn service(databases: &Databases) -> std::sync::Arc<Coupons> {
    Coupons::new(databases.promox.clone(), Cache::in_memory(), true)
}

/// A shop with the promotions 1 to 3, the accounts below 100, the SKU `a`, and `SUMMER` as the code of a promotion.
fn open() -> Shop {
    Setup::at("2027-01-15T08:00:00Z")
        .answer(|_, op: FindPromotionCodes| Ok(taken(op.codes)))
        .answer(|_, op: ClaimCodes| Ok(taken(op.codes)))
        .answer(|_, _: ReleaseCodes| Ok(()))
        .answer(|_, op: DescribePromotions| {
            let known = op.ids.into_iter().filter(|id| id.0 <= 3);
            let describe = |id| PromotionDescription { id, name: format!("P{id}"), campaign_id: None };
            Ok(PromotionDescriptions { items: known.map(describe).collect() })
        })
        .answer(|_, op: DescribeUsers| {
            let known = op.ids.into_iter().filter(|id| id.0 < 100);
            Ok(UserDescriptions { items: known.map(user_description).collect() })
        })
        .answer(|_, op: DescribeSkus| {
            let known = op.skus.iter().filter(|sku| sku.fold() == "a");
            Ok(SkuDescriptions { items: known.map(|sku| sku_description(sku, amount("10.00"))).collect() })
        })
        .answer(|_, cart: EvaluateCart| Ok(evaluate(cart)))
        .shared(&[promox_contract::coupon::REDEEMED])
        .start(service)
}

/// The code and the reason of a refusal.
fn refusal(result: Result<Value, Error>) -> (String, Option<String>) {
    let error = result.unwrap_err();
    let reason = error.members().get("reason").and_then(Value::as_str).map(str::to_owned);
    (error.code().to_owned(), reason)
}

const PROMOTION: PromotionId = PromotionId(1);
const ADA: UserId = UserId(7);
