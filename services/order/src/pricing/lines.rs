//! The goods of a request with their catalog data: items, flash sale reservations and gifts.

use std::collections::BTreeMap;

use promox_contract::codes;
use promox_contract::flashsale::{FlashLines, GetReservedLines};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId};
use promox_contract::inventory::{GetAvailableStock, SkuQuantity};
use promox_contract::product::DescribeForSale;
use promox_contract::promotion::{CartLine, Gift, RejectReason};
use promox_kernel::{Cx, Error, Faults};

use crate::reject;
use crate::rules::request;

/// Items as lines at catalog prices. An item with an unknown SKU is refused if `all_known`, otherwise left out.
pub(super) async fn describe(
    cx: &Cx,
    items: Vec<SkuQuantity>,
    channel: Option<&str>,
    all_known: bool,
) -> Result<Vec<CartLine>, Error> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let skus = items.iter().map(|item| item.sku.clone()).collect();
    let mut by_sku = cx.call(DescribeForSale { skus, channel: channel.map(str::to_owned) }).await?.by_sku();
    let mut lines: Vec<CartLine> = Vec::with_capacity(items.len());
    let mut faults = Faults::default();
    for (i, item) in items.into_iter().enumerate() {
        let Some(found) = by_sku.remove(&item.sku) else {
            let detail = format!("\"{}\" is not sold here", item.sku);
            faults.code(format!("/items/{i}/sku"), codes::UNKNOWN_SKU, detail);
            continue;
        };
        // A variant may be named by its SKU and by a former SKU in one request; that is one line.
        let is_same = |line: &&mut CartLine| line.item.variant_id == found.variant_id;
        let existing = if found.former_skus.is_empty() { None } else { lines.iter_mut().find(is_same) };
        match existing {
            Some(line) => {
                let pointer = format!("/items/{i}/quantity");
                line.quantity = request::add_units(line.quantity, item.quantity, &pointer)?;
            }
            None => lines.push(CartLine { item: found, quantity: item.quantity, flash_sale_id: None }),
        }
    }
    if all_known { faults.finish().map(|()| lines) } else { Ok(lines) }
}

/// Flash sale reservations as lines.
#[derive(Default)]
pub(super) struct Reserved {
    pub(super) lines: Vec<CartLine>,
    /// The campaign of each reserved flash sale that has one.
    pub(super) campaigns: BTreeMap<FlashSaleId, CampaignId>,
    pub(super) warnings: Vec<String>,
}

/// The lines of flash sale reservations. A reservation that cannot be ordered is an error if `strict`, otherwise a
/// warning.
pub(super) async fn flash_lines(cx: &Cx, named: &[FlashReservationId], strict: bool) -> Result<Reserved, Error> {
    if named.is_empty() {
        return Ok(Reserved::default());
    }
    let op = GetReservedLines { user_id: cx.principal.user(), reservation_ids: named.to_vec() };
    let FlashLines { lines: found, refused } = cx.call(op).await?;
    let mut reserved = Reserved::default();
    for id in named.iter().filter(|id| !found.iter().any(|line| line.reservation_id == **id)) {
        let reason = refused.iter().find(|refused| refused.reservation_id == *id).map(|refused| refused.reason);
        let error = reject::reservation_refused(*id, reason.unwrap_or(RejectReason::Unknown));
        if strict {
            return Err(error);
        }
        reserved.warnings.push(error.message().to_owned());
    }
    for flash in found {
        reserved.campaigns.extend(flash.campaign_id.map(|campaign| (flash.flash_sale_id, campaign)));
        let item = SkuQuantity { sku: flash.sku, quantity: flash.quantity };
        let described = describe(cx, vec![item], None, false).await?;
        if described.is_empty() {
            let error = reject::reservation_refused(flash.reservation_id, RejectReason::NoMatchingItems);
            if strict {
                return Err(error);
            }
            reserved.warnings.push(error.message().to_owned());
        }
        for mut line in described {
            line.item.price = flash.sale_price;
            line.flash_sale_id = Some(flash.flash_sale_id);
            reserved.lines.push(line);
        }
    }
    Ok(reserved)
}

/// Gifts as lines at a price of zero. Gifts that are out of stock are left out.
pub(super) async fn gift_lines(cx: &Cx, gifts: &[Gift]) -> Result<Vec<CartLine>, Error> {
    if gifts.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::with_capacity(gifts.len());
    for gift in gifts {
        let item = SkuQuantity { sku: gift.sku.clone(), quantity: gift.quantity };
        lines.extend(describe(cx, vec![item], None, false).await?);
    }
    let variants = lines.iter().map(|line| line.item.variant_id).collect();
    let available = cx.call(GetAvailableStock { variants }).await?.available;
    let in_stock = lines.into_iter().zip(available).filter(|(line, available)| *available >= line.quantity);
    let free = |(mut line, _): (CartLine, u32)| {
        line.item.price = line.item.currency.zero();
        line
    };
    Ok(in_stock.map(free).collect())
}
