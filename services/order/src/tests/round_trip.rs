//! Arbitrary histories: an export is imported into another shop, which has the same figures and the same export.

use promox_contract::order::{ListCreditFigures, ListOrderFigures};
use promox_kernel::Amount;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::history::Shop;
use crate::HistoryFormat;

/// A line: SKU, units, unit price in pence, quarters of discount and tax, returned units, and whether it was shipped.
type Line = (u8, u32, i64, u32, u32, u32, bool);

#[derive(Clone, Debug)]
struct Sale {
    number: String,
    micros: i64,
    status: &'static str,
    customer: u8,
    prices_include_tax: bool,
    lines: Vec<Line>,
    shipping: Option<(i64, u32, i64)>,
    points: Option<(i64, u32)>,
    refunds: Vec<(i64, u32)>,
    note: String,
    promotion: Option<(i64, Option<i64>)>,
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![3 => "C[0-9A-Z]{1,3}", 2 => "[0-9A-Z]{1,4}(-[0-9A-Z]{1,3})?", 1 => "[c-d][0-9é ]{0,2}x"]
}

fn sale() -> impl Strategy<Value = Sale> {
    let line = (0_u8..5, 1_u32..6, 0_i64..3_000, 0_u32..4, 0_u32..4, 0_u32..6, any::<bool>());
    let statuses =
        ["CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED", "CANCELLED", "FAILED", "NEEDS_REVIEW", "REFUNDED"];
    let head = (number(), 0_i64..4_000_000, prop::sample::select(statuses.to_vec()), 0_u8..6, any::<bool>());
    let extras = (
        prop::option::of((0_i64..900, 0_u32..3, 0_i64..90)),
        prop::option::of((1_i64..500, 0_u32..4)),
        prop::collection::vec((0_i64..4_000_000, 0_u32..5), 0..3),
        "[ a\r\n\"',;=é-]{0,6}",
        prop::option::of((1_i64..4, prop::option::of(1_i64..3))),
    );
    (head, prop::collection::vec(line, 1..4), extras).prop_map(|(head, lines, extras)| {
        let (number, micros, status, customer, prices_include_tax) = head;
        let (shipping, points, refunds, note, promotion) = extras;
        Sale { number, micros, status, customer, prices_include_tax, lines, shipping, points, refunds, note, promotion }
    })
}

fn pence(minor: i64) -> Amount {
    Amount(Decimal::new(minor, 2))
}

fn time(micros: i64) -> String {
    let micros = 1_700_000_000_000_000 + micros;
    format!("{:.6}", promox_kernel::Timestamp(micros).to_jiff())
}

/// A number of quarters of an amount, in whole pence.
fn quarters(whole: i64, parts: u32) -> i64 {
    whole * i64::from(parts) / 4
}

impl Sale {
    fn document(&self) -> Value {
        let mut lines = Vec::new();
        let (mut returned_items, mut paid) = (Vec::new(), 0);
        for (sku, units, price, off, tax, returned, is_shipped) in &self.lines {
            let (units, returned) = (i64::from(*units), i64::from(*returned.min(units)));
            let discount = quarters(units * price, *off);
            let net = units * price - discount;
            let tax = quarters(net, *tax);
            let (shipped, withdrawn) = if *is_shipped { (units, 0) } else { (0, returned) };
            let mut line = json!({
                "sku": format!("S{sku}"), "name": format!("Näme {sku}"), "quantity": units,
                "unitPrice": pence(*price), "listPrice": pence(price + 5), "discount": pence(discount),
                "tax": pence(tax), "shipped": shipped, "delivered": shipped, "returned": returned,
                "withdrawn": withdrawn, "productId": sku + 1,
            });
            if let Some((promotion, _)) = self.promotion.filter(|_| discount > 0) {
                line["discounts"] = json!([{"promotionId": promotion, "amount": pence(discount)}]);
            }
            if *sku == 4 {
                (line["flashSaleId"], line["campaignId"]) = (json!(8), json!(2));
            }
            paid += net + if self.prices_include_tax { 0 } else { tax };
            if returned > 0 {
                returned_items.push(json!({"sku": format!("s{sku}"), "quantity": returned}));
            }
            lines.push(line);
        }
        let mut document = json!({
            "type": "ORDER", "number": self.number, "date": time(self.micros), "status": self.status,
            "pricesIncludeTax": self.prices_include_tax, "lines": lines, "note": self.note,
            "attributes": {"customer": self.note}, "payment": {"method": "CARD", "status": "CAPTURED"},
        });
        match self.customer {
            0 => {}
            n @ 1..=2 => document["userId"] = json!(n),
            n @ 3..=4 => document["customer"] = json!(format!("user:{n}")),
            n => document["email"] = json!(format!("Buyer-{n}@example.com")),
        }
        if let Some((amount, off, tax)) = self.shipping {
            let discount = quarters(amount, off);
            document["shipping"] =
                json!({"method": "STANDARD", "amount": pence(amount), "discount": pence(discount), "tax": pence(tax)});
            paid += amount - discount + if self.prices_include_tax { 0 } else { tax };
        }
        if let Some((redeemed, share)) = self.points {
            let value = quarters(paid, share);
            document["points"] = json!({"redeemed": redeemed, "value": pence(value), "earned": 3});
            paid -= value;
        }
        if !returned_items.is_empty() {
            document["returns"] = json!([{
                "items": returned_items, "reason": self.note, "refund": "0.00", "restock": false,
                "requestedAt": time(self.micros), "approvedAt": time(self.micros + 2_000_000),
            }]);
        }
        let mut left = paid;
        let refund = |(at, share): &(i64, u32)| {
            let amount = quarters(left, *share);
            left -= amount;
            json!({"at": time(*at), "amount": pence(amount)})
        };
        document["refunds"] = self.refunds.iter().map(refund).collect();
        if let Some((promotion, campaign)) = self.promotion {
            document["appliedPromotions"] =
                json!([{"promotionId": promotion, "name": "P", "amount": "0.00", "shippingAmount": "0.00"}]);
            document["promotionUses"] = json!([{"promotionId": promotion, "campaignId": campaign, "cost": "0.50"}]);
        }
        document
    }
}

/// A credit note from another system.
fn note((number, micros, units, minor): &(String, i64, i64, i64)) -> Value {
    let line = json!({"sku": "S1", "name": "", "quantity": -units, "unitPrice": pence(*minor)});
    json!({"type": "CREDIT_NOTE", "number": number, "date": time(*micros), "customer": "17", "lines": [line, line]})
}

/// The figures of orders and credit notes, without the ids that orders have in the shop.
async fn figures(shop: &Shop) -> Vec<String> {
    let op = ListOrderFigures { ids: Vec::new(), from: None, to: None, after: None, limit: None };
    let orders = shop.call(op).await.unwrap().items;
    let is_unknown = |customer: &str| customer.starts_with("order:");
    let orders = orders.into_iter().map(|mut order| {
        order.id.0 = 0;
        if is_unknown(&order.customer) {
            order.customer = String::new();
        }
        format!("{order:?}")
    });
    let mut notes = shop.call(ListCreditFigures { after: 0, limit: 500 }).await.unwrap().items;
    notes.sort_by_key(|note| (note.issued_at, note.total));
    orders.chain(notes.into_iter().map(|note| format!("{} {}", note.total, note.issued_at.0))).collect()
}

async fn check(sales: &[Sale], notes: &[(String, i64, i64, i64)], format: HistoryFormat) {
    let (first, second) = (Shop::open(), Shop::open());
    let documents: Vec<String> = sales.iter().map(|sale| sale.document().to_string()).collect();
    let credits: Vec<String> = notes.iter().map(|credit| note(credit).to_string()).collect();
    let report = first.import(HistoryFormat::Ndjson, &[documents, credits].concat().join("\n")).await.report;
    let faults: Vec<_> = report.errors.iter().filter(|error| error.code != "NUMBER_TWICE").collect();
    assert!(faults.is_empty(), "{faults:?}");
    first.verify();
    let export = first.export(format).await;
    let done = second.import(format, &export).await.report;
    assert_eq!((done.created, done.errors.as_slice()), (report.created, [].as_slice()), "{export}");
    assert_eq!(second.export(format).await, export);
    assert_eq!(second.export(HistoryFormat::Ndjson).await, first.export(HistoryFormat::Ndjson).await);
    assert_eq!(figures(&second).await, figures(&first).await);
    assert_eq!(second.import(format, &export).await.report.skipped, report.created);
    second.verify();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn any_history_is_exported_and_imported_without_loss(
        sales in prop::collection::vec(sale(), 0..6),
        notes in prop::collection::vec((number(), 0_i64..4_000_000, 1_i64..4, 0_i64..900), 0..3),
        as_csv in any::<bool>(),
    ) {
        let format = if as_csv { HistoryFormat::Csv } else { HistoryFormat::Ndjson };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&sales, &notes, format));
    }
}

/// The number of histories to try, which `PROPTEST_CASES` overrides.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)
}
