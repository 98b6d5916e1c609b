//! The effect of price rules on pages, lists and descriptions of SKUs.

use promox_contract::product::DescribeSkus;
use promox_contract::promotion::CATALOG_PRICE_EPOCH;
use promox_kernel::Sku;
use serde_json::json;

use super::*;
use crate::{CreateProduct, GetProduct, ListProducts, SuggestProducts, UpdateProduct};

/// A shop with the products A, B and C.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    for (sku, price) in [("A", "10.00"), ("B", "9.50"), ("C", "3.33")] {
        shop.ask::<CreateProduct>(json!({"sku": sku, "name": sku, "price": price})).await.unwrap();
    }
    shop
}

impl Shop {
    /// Activates a price rule with these discounts in percent for visitors and for users, or 0 for none.
    async fn set_rule(&self, visitors: i64, users: i64) {
        *self.stubs.rule.lock() = (visitors, users);
        self.database(Database::Promox).write(&self.cx(), |tx| tx.bump_epoch(CATALOG_PRICE_EPOCH)).await.unwrap();
    }
}

/// The price and the list price of a product or variant.
fn prices(page: &Value) -> (&str, &str) {
    (page["price"].as_str().unwrap(), page["listPrice"].as_str().unwrap())
}

#[tokio::test]
async fn a_page_shows_the_callers_price_and_the_list_price_at_once() {
    let shop = shop().await;
    let page = shop.visit::<GetProduct>(json!({"id": 1})).await.unwrap();
    assert_eq!(prices(&page), ("10.00", "10.00"));
    shop.set_rule(10, 20).await;
    for _ in 0..2 {
        let page = shop.visit::<GetProduct>(json!({"id": 1})).await.unwrap();
        assert_eq!(prices(&page), ("9.00", "10.00"));
        assert_eq!(prices(&page["variants"][0]), ("9.00", "10.00"));
        let page = shop.ask_as::<GetProduct>(shop.user(7), json!({"id": 1})).await.unwrap();
        assert_eq!(prices(&page), ("8.00", "10.00"), "the cached page of visitors is not used");
    }
    let staff = shop.ask::<UpdateProduct>(json!({"id": 1, "price": "20.00"})).await.unwrap();
    assert_eq!(prices(&staff), ("18.00", "20.00"));
    let page = shop.visit::<GetProduct>(json!({"id": 1})).await.unwrap();
    assert_eq!(prices(&page), ("18.00", "20.00"), "the rule applies to a new list price");
    shop.set_rule(0, 0).await;
    let page = shop.visit::<GetProduct>(json!({"id": 1})).await.unwrap();
    assert_eq!(prices(&page), ("20.00", "20.00"));
    shop.verify();
}

#[tokio::test]
async fn lists_are_sorted_by_a_visitors_price_and_show_the_callers() {
    let shop = shop().await;
    shop.set_rule(50, 10).await;
    shop.run_jobs().await;
    let request = json!({"sort": "price", "maxPrice": "4.75"});
    let list = shop.ask_as::<ListProducts>(shop.user(7), request.clone()).await.unwrap();
    let shown: Vec<_> = list["items"].as_array().unwrap().iter().map(prices).collect();
    assert_eq!(shown, [("3.00", "3.33"), ("8.55", "9.50")], "C and B, at this user's prices");
    assert_eq!(list["facets"]["price"], json!({"min": "1.67", "max": "4.75"}));
    let suggested = shop.visit::<SuggestProducts>(json!({"q": "c"})).await.unwrap();
    assert_eq!(prices(&suggested["items"][0]), ("1.67", "3.33"));
    shop.ask::<UpdateProduct>(json!({"id": 1, "price": "2.00"})).await.unwrap();
    shop.run_jobs().await;
    let list = shop.visit::<ListProducts>(request.clone()).await.unwrap();
    assert_eq!(list["total"], 3, "the rule is applied again to a changed product");
    assert_eq!(list["items"][0]["price"], "1.00");
    shop.set_rule(0, 0).await;
    shop.run_jobs().await;
    assert_eq!(shop.visit::<ListProducts>(request).await.unwrap()["total"], 2, "all have list prices again");
}

#[tokio::test]
async fn other_services_get_both_prices() {
    let shop = shop().await;
    shop.set_rule(10, 10).await;
    let skus: Vec<Sku> = ["C", "A"].map(|sku| sku.parse().unwrap()).into();
    let described = shop.anonymous().call(DescribeSkus { skus }).await.unwrap().items;
    let described: Vec<_> =
        described.iter().map(|item| (item.price.to_string(), item.list_price.to_string())).collect();
    assert_eq!(described, [("3.00".into(), "3.33".into()), ("9.00".into(), "10.00".to_string())]);
}
