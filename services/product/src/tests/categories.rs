//! The category tree.

use promox_kernel::Kind;
use serde_json::{Value, json};

use super::Shop;
use crate::{
    CreateCategory, CreateProduct, DeleteCategory, GetCategory, GetProductBySku, ListCategories, ListProducts,
    UpdateCategory,
};

async fn category(shop: &Shop, name: &str, parent: Option<i64>) -> i64 {
    let category = shop.ask::<CreateCategory>(json!({"name": name, "parentId": parent})).await.unwrap();
    category["id"].as_i64().unwrap()
}

async fn product(shop: &Shop, sku: &str, categories: &[i64]) {
    let request = json!({"sku": sku, "name": format!("Product {sku}"), "price": 1, "categoryIds": categories});
    shop.ask::<CreateProduct>(request).await.unwrap();
}

#[tokio::test]
async fn the_tree_counts_each_product_once() {
    let shop = Shop::open().await;
    let home = category(&shop, "Home", None).await;
    let lamps = category(&shop, "Lamps", Some(home)).await;
    let vases = category(&shop, "Vases", Some(home)).await;
    product(&shop, "a", &[lamps, vases]).await;
    product(&shop, "b", &[lamps]).await;
    let tree = shop.visit::<ListCategories>(json!({})).await.unwrap();
    assert_eq!(tree["items"][0]["productCount"], 2);
    let below: Vec<(&Value, &Value)> = tree["items"][0]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (&node["slug"], &node["productCount"]))
        .collect();
    assert_eq!(below, [(&json!("lamps"), &json!(2)), (&json!("vases"), &json!(1))]);
    let list = shop.visit::<ListProducts>(json!({"category": "home"})).await.unwrap();
    assert_eq!((&list["total"], &list["facets"]["categories"][0]["count"]), (&json!(2), &json!(2)));
    assert_eq!(shop.visit::<GetCategory>(json!({"id": vases})).await.unwrap()["productCount"], 1);
    shop.verify();
}

#[tokio::test]
async fn a_category_cannot_be_moved_below_itself() {
    let shop = Shop::open().await;
    let a = category(&shop, "A", None).await;
    let b = category(&shop, "B", Some(a)).await;
    let error = shop.ask::<UpdateCategory>(json!({"id": a, "parentId": b})).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Refused, "CATEGORY_MISPLACED"));
    let error = shop.ask::<CreateCategory>(json!({"name": "C", "parentId": 99})).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "/parentId");
    let moved = shop.ask::<UpdateCategory>(json!({"id": b, "parentId": null, "name": "BB"})).await.unwrap();
    assert_eq!((&moved["version"], &moved["slug"]), (&json!(2), &json!("b")));
    shop.verify();
}

#[tokio::test]
async fn a_category_in_use_is_deleted_only_with_move_to() {
    let shop = Shop::open().await;
    let old = category(&shop, "Old", None).await;
    let below = category(&shop, "Below", Some(old)).await;
    let new = category(&shop, "New", None).await;
    for number in 0..205 {
        product(&shop, &format!("p{number}"), &[old]).await;
    }
    product(&shop, "both", &[old, new]).await;
    let error = shop.ask::<DeleteCategory>(json!({"id": old})).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "CATEGORY_NOT_EMPTY"));
    for wrong in [old, below, 77] {
        let error = shop.ask::<DeleteCategory>(json!({"id": old, "moveTo": wrong})).await.unwrap_err();
        assert_eq!(error.errors()[0].pointer, "?moveTo", "{wrong}");
    }
    shop.ask::<DeleteCategory>(json!({"id": old, "moveTo": new})).await.unwrap();
    assert_eq!(shop.visit::<GetCategory>(json!({"id": old})).await.unwrap_err().kind(), Kind::NotFound);
    let moved = shop.visit::<GetCategory>(json!({"id": below})).await.unwrap();
    assert_eq!(moved["parentId"], new);
    assert_eq!(shop.visit::<GetCategory>(json!({"id": new})).await.unwrap()["productCount"], 206);
    let both = shop.visit::<GetProductBySku>(json!({"sku": "both"})).await.unwrap();
    assert_eq!(both["categoryIds"], json!([new]));
    shop.verify();
}

#[tokio::test]
async fn counts_and_filters_follow_a_moved_category() {
    let shop = Shop::open().await;
    let home = category(&shop, "Home", None).await;
    let garden = category(&shop, "Garden", None).await;
    let lamps = category(&shop, "Lamps", Some(home)).await;
    product(&shop, "a", &[lamps]).await;
    let totals = async || {
        let list = async |id| shop.visit::<ListProducts>(json!({"category": id})).await.unwrap()["total"].clone();
        (list(home.to_string()).await, list(garden.to_string()).await)
    };
    assert_eq!(totals().await, (json!(1), json!(0)));
    shop.ask::<UpdateCategory>(json!({"id": lamps, "parentId": garden})).await.unwrap();
    assert_eq!(totals().await, (json!(0), json!(1)));
    assert_eq!(shop.visit::<GetCategory>(json!({"id": garden})).await.unwrap()["productCount"], 1);
    shop.verify();
}
