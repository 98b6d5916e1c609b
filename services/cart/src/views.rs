//! Cart views: lines with their descriptions, prices and stock, queried from the services that own them.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::cart::CartReminderLine;
use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_contract::inventory::GetAvailableStock;
use promox_contract::order::{PriceCart, PricedCart, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::product::{DescribeSkus, ResolveSkus, VariantRef};
use promox_contract::promotion::RejectedPromotion;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Amount, Currency, Cx, Error, Sku, move_for_lines};

use crate::api::{CartCodes, CartLine, CartView, CartWarning, WarningCode};
use crate::merge::Available;
use crate::queries::Contents;
use crate::records::{Cart, CartItem};

/// Queries the available stock of each variant.
pub(crate) async fn available(cx: &Cx, variants: Vec<VariantId>) -> Result<Available, Error> {
    if variants.is_empty() {
        return Ok(Available::new());
    }
    let found = cx.call(GetAvailableStock { variants: variants.clone() }).await?;
    Ok(variants.into_iter().zip(found.available).collect())
}

/// The variant that has or had a SKU; `None` if the catalog does not sell it.
pub(crate) async fn sold_variant(cx: &Cx, sku: &Sku) -> Result<Option<VariantRef>, Error> {
    let found = cx.call(DescribeSkus { skus: vec![sku.clone()] }).await?.items.into_iter().next();
    Ok(found.map(|variant| VariantRef {
        variant_id: variant.variant_id,
        product_id: variant.product_id,
        sku: variant.sku,
    }))
}

/// The variant that has or had a SKU, even if it is no longer sold.
pub(crate) async fn variant(cx: &Cx, sku: &Sku) -> Result<Option<VariantRef>, Error> {
    Ok(cx.call(ResolveSkus { skus: vec![sku.clone()] }).await?.variants.into_iter().flatten().next())
}

/// What to do with a cart whose amounts are too large to be calculated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// Refuse it: 422 `AMOUNT_TOO_LARGE`.
    Refuse,
    /// Show it without prices, with a warning.
    Warn,
}

impl CartView {
    /// This view with the id, version and times of the cart as it was stored.
    pub(crate) fn stored_as(self, cart: &Cart) -> Self {
        Self { id: cart.id, version: cart.version, created_at: cart.created_at, updated_at: cart.updated_at, ..self }
    }
}

/// The view of a cart's contents at current prices and stock, with a warning for whatever prevents ordering it.
pub(crate) async fn view(
    cx: &Cx,
    contents: Contents,
    mut warnings: Vec<CartWarning>,
    if_too_large: TooLarge,
) -> Result<CartView, Error> {
    move_for_lines(contents.items.len()).await;
    let variants = contents.items.iter().map(|item| item.variant_id).collect();
    let (stock, (priced, sold)) = tokio::try_join!(available(cx, variants), price(cx, &contents, if_too_large))?;
    let too_large = sold.is_some();
    if too_large {
        warnings.push(too_large_warning());
    }
    // A gift may be of a variant that is also bought. Gifts come last, so collecting in reverse keeps the bought line.
    let by_variant = priced.lines.iter().rev().filter_map(|line| Some((line.variant_id?, line)));
    let lines: BTreeMap<VariantId, &OrderLine> = by_variant.collect();
    let mut items = Vec::with_capacity(contents.items.len());
    for item in &contents.items {
        let line = lines.get(&item.variant_id).copied();
        let is_sold = line.is_some() || sold.as_ref().is_some_and(|sold| sold.contains(&item.variant_id));
        let in_stock = if is_sold { stock.get(&item.variant_id).copied().unwrap_or(0) } else { 0 };
        let view = line_view(item, line, in_stock);
        warnings.extend(line_warning(&view, is_sold));
        items.push(view);
    }
    warnings.extend(priced.rejected_promotions.into_iter().filter_map(code_warning));
    let cart = contents.cart;
    Ok(CartView {
        id: cart.id,
        token: None,
        version: cart.version,
        currency: priced.currency,
        items,
        codes: CartCodes { promotion_code: cart.promotion_code, coupon_codes: cart.coupon_codes.0 },
        totals: priced.totals,
        reminder_email: cart.email,
        warnings,
        created_at: cart.created_at,
        updated_at: cart.updated_at,
    })
}

/// The lines of a cart as its reminder shows them.
pub(crate) async fn reminder_lines(cx: &Cx, contents: &Contents) -> Result<Vec<CartReminderLine>, Error> {
    let skus = contents.items.iter().map(|item| item.sku.clone()).collect();
    let described = cx.call(DescribeSkus { skus }).await?.items;
    let names: BTreeMap<VariantId, String> = described.into_iter().map(|it| (it.variant_id, it.name)).collect();
    let line = |item: &CartItem| CartReminderLine {
        sku: item.sku.clone(),
        name: names.get(&item.variant_id).cloned().unwrap_or_else(|| item.sku.to_string()),
        quantity: item.quantity,
    };
    Ok(contents.items.iter().map(line).collect())
}

/// The variants in a cart that the catalog still sells.
async fn sold(cx: &Cx, contents: &Contents) -> Result<BTreeSet<VariantId>, Error> {
    let skus = contents.items.iter().map(|item| item.sku.clone()).collect();
    let found = cx.call(DescribeSkus { skus }).await?;
    Ok(found.items.into_iter().map(|description| description.variant_id).collect())
}

/// Prices the lines that are still sold; without any, the total is zero. If the cart is too large to be priced but to be
/// shown, its price is zero and the variants that are still sold are returned too.
async fn price(
    cx: &Cx,
    contents: &Contents,
    if_too_large: TooLarge,
) -> Result<(PricedCart, Option<BTreeSet<VariantId>>), Error> {
    if contents.items.is_empty() {
        return Ok((zero_price(cx).await?, None));
    }
    let priced = cx.call(PriceCart {
        // The price leaves out what is no longer sold, so that the catalog need not be asked before.
        items: contents.quantities(),
        promotion_code: contents.cart.promotion_code.clone(),
        coupon_codes: contents.cart.coupon_codes.0.clone(),
        user_id: contents.cart.user_id,
    });
    let error = match priced.await {
        Ok(priced) => return Ok((priced, None)),
        Err(error) => error,
    };
    let sold = sold(cx, contents).await?;
    if sold.is_empty() {
        return Ok((zero_price(cx).await?, None));
    }
    if error.code() == codes::AMOUNT_TOO_LARGE && if_too_large == TooLarge::Warn {
        return Ok((zero_price(cx).await?, Some(sold)));
    }
    Err(error)
}

/// The price of a cart without lines, in the store's currency.
async fn zero_price(cx: &Cx) -> Result<PricedCart, Error> {
    let currency: Currency = cx.call(GetStoreProfile {}).await?.currency;
    let zero: Amount = currency.zero();
    Ok(PricedCart {
        currency,
        lines: Vec::new(),
        applied_promotions: Vec::new(),
        rejected_promotions: Vec::new(),
        totals: Totals {
            subtotal: zero,
            discount: zero,
            shipping: zero,
            shipping_discount: zero,
            tax: zero,
            points_redeemed: 0,
            points_value: zero,
            total: zero,
        },
    })
}

fn line_view(item: &CartItem, line: Option<&OrderLine>, available: u32) -> CartLine {
    CartLine {
        sku: line.map_or_else(|| item.sku.clone(), |line| line.sku.clone()),
        product_id: line.and_then(|line| line.product_id),
        name: line.map(|line| line.name.clone()),
        quantity: item.quantity,
        unit_price: line.map(|line| line.unit_price),
        list_price: line.map(|line| line.list_price),
        line_total: line.map(|line| line.subtotal),
        discount: line.map(|line| line.discount),
        available,
    }
}

fn line_warning(item: &CartLine, sold: bool) -> Option<CartWarning> {
    let available = item.available;
    let (code, detail) = match (sold, item.quantity <= available) {
        (true, true) => return None,
        (true, false) => {
            let detail = format!("Only {available} of {} can be bought; {} are in the cart.", item.sku, item.quantity);
            (WarningCode::InsufficientStock, detail)
        }
        (false, _) => (WarningCode::ProductUnavailable, format!("{} is no longer sold.", item.sku)),
    };
    Some(CartWarning {
        code,
        detail,
        sku: Some(item.sku.clone()),
        asked: Some(item.quantity),
        available: Some(available),
        rejected_code: None,
        reason: None,
    })
}

fn too_large_warning() -> CartWarning {
    CartWarning {
        code: WarningCode::AmountTooLarge,
        detail: "The cart exceeds 10^18 of the currency's smallest unit, so it has no price: remove lines or reduce \
                 quantities."
            .to_owned(),
        sku: None,
        asked: None,
        available: None,
        rejected_code: None,
        reason: None,
    }
}

/// A warning that a code has no effect; `None` for a promotion that no code named.
fn code_warning(rejected: RejectedPromotion) -> Option<CartWarning> {
    let code = rejected.code?;
    Some(CartWarning {
        code: WarningCode::CodeNotApplied,
        detail: format!("The code {code} has no effect on this cart: {}.", rejected.reason),
        sku: None,
        asked: None,
        available: None,
        rejected_code: Some(code),
        reason: Some(rejected.reason),
    })
}

pub(crate) async fn in_stock(cx: &Cx, id: VariantId) -> Result<u32, Error> {
    let stock = available(cx, vec![id]).await?;
    Ok(stock.into_values().next().unwrap_or(0))
}
