//! Sample values for the tests of several services.

use std::collections::BTreeMap;

use promox_contract::ids::{OrderId, ProductId, VariantId};
use promox_contract::order::{OrderFact, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::product::{SkuDescription, VariantRef};
use promox_contract::store::StoreProfile;
use promox_contract::user::UserDescription;
use promox_kernel::{Amount, Currency, Email, Sku, Timestamp, UserId};

/// A time in RFC 3339.
#[track_caller]
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An amount, such as `"9.99"`.
#[track_caller]
pub fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

/// An amount in hundredths.
pub fn pence(pence: i64) -> Amount {
    amount(&format!("{}.{:02}", pence / 100, pence % 100))
}

/// A SKU.
#[track_caller]
pub fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

/// An e-mail address.
#[track_caller]
pub fn email(text: &str) -> Email {
    text.parse().unwrap()
}

/// The id of a SKU's variant, which is the same for all spellings of the SKU.
pub fn variant(sku: &Sku) -> VariantId {
    let hash = sku.fold().bytes().fold(7_i64, |hash, byte| (hash * 131 + i64::from(byte)) % 1_000_000_007);
    VariantId(hash + 1)
}

/// The [`variant`] of a SKU, as one of product 1.
pub fn variant_ref(sku: Sku) -> VariantRef {
    VariantRef { variant_id: variant(&sku), product_id: ProductId(1), sku }
}

/// A store in pounds and UTC.
pub fn store_profile() -> StoreProfile {
    StoreProfile {
        name: "Shop".to_owned(),
        currency: Currency::GBP,
        timezone: "UTC".to_owned(),
        locale: "en".to_owned(),
        ignore_plus_tags: false,
        bank_transfer: None,
    }
}

/// An account with an address such as `user7@example.com`, registered in 1970.
pub fn user_description(id: UserId) -> UserDescription {
    UserDescription {
        id,
        email: email(&format!("user{id}@example.com")),
        name: None,
        phone: None,
        locale: None,
        timezone: None,
        registered_at: Timestamp::EPOCH,
        attributes: BTreeMap::new(),
    }
}

/// The description of a SKU: its [`variant`], as one of product 1, at this price.
pub fn sku_description(sku: &Sku, price: Amount) -> SkuDescription {
    SkuDescription {
        variant_id: variant(sku),
        sku: sku.clone(),
        former_skus: Vec::new(),
        product_id: ProductId(1),
        name: sku.to_string(),
        price,
        list_price: price,
        currency: Currency::GBP,
        category_ids: Vec::new(),
        attributes: BTreeMap::new(),
        tax_class: "STANDARD".to_owned(),
        weight_grams: None,
        discountable: true,
        floor_price: None,
        cost: None,
    }
}

/// An order line without a variant and without tax.
pub fn order_line(sku: Sku, quantity: u32, unit_price: Amount, discount: Amount) -> OrderLine {
    let subtotal = unit_price.times(i64::from(quantity)).unwrap();
    OrderLine {
        name: sku.to_string(),
        sku,
        variant_id: None,
        product_id: None,
        quantity,
        unit_price,
        list_price: unit_price,
        flash_sale_id: None,
        subtotal,
        discount,
        discounts: Vec::new(),
        tax: Amount::ZERO,
        total: subtotal - discount,
    }
}

/// The totals of order lines, without tax, shipping and points.
pub fn totals<'a>(lines: impl IntoIterator<Item = &'a OrderLine> + Clone) -> Totals {
    let sum = |part: fn(&OrderLine) -> Amount| lines.clone().into_iter().map(part).sum::<Amount>();
    Totals {
        subtotal: sum(|line| line.subtotal),
        discount: sum(|line| line.discount),
        shipping: Amount::ZERO,
        shipping_discount: Amount::ZERO,
        tax: Amount::ZERO,
        points_redeemed: 0,
        points_value: Amount::ZERO,
        total: sum(|line| line.total),
    }
}

/// The event data of an order that costs nothing and earns no points.
pub fn order_fact(order: i64) -> OrderFact {
    OrderFact {
        order_id: OrderId(order),
        user_id: None,
        total: Amount::ZERO,
        currency: Currency::GBP,
        points_multiplier: None,
        points_redeemed: 0,
        points_earned: 0,
    }
}
