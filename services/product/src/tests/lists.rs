//! Lists: filters, orders, pages, facets, search and suggestions.

use promox_kernel::Kind;
use serde_json::{Value, json};

use super::Shop;
use crate::{ArchiveProduct, CreateCategory, CreateProduct, IndexPlace, ListProducts, SuggestProducts, UpdateProduct};

/// A shop with five products, of which three are in the category Kitchen.
async fn shop_with_products() -> Shop {
    let shop = Shop::open().await;
    shop.ask::<CreateCategory>(json!({"name": "Kitchen"})).await.unwrap();
    let rows = [
        ("m1", "White hanging heart t-light holder", "2.55", "white", vec![]),
        ("m2", "Red kitchen scales", "8.50", "Red", vec![1]),
        ("m3", "Ivory kitchen scales", "8.50", "ivory", vec![1]),
        ("m4", "Red woolly hottie", "3.39", "red", vec![]),
        ("m5", "Enamel fire bucket", "6.95", "cream", vec![1]),
    ];
    for (sku, name, price, color, categories) in rows {
        let request = json!({"sku": sku, "name": name, "price": price, "attributes": {"Color": color},
            "categoryIds": categories, "description": "For the house"});
        shop.ask::<CreateProduct>(request).await.unwrap();
    }
    shop
}

fn skus(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn sorting_by_relevance_requires_search_words() {
    let shop = shop_with_products().await;
    for request in [json!({"sort": "relevance"}), json!({"sort": "relevance", "q": " "})] {
        let refused = shop.visit::<ListProducts>(request).await.unwrap_err();
        assert_eq!((refused.kind(), refused.errors()[0].pointer.as_str()), (Kind::Schema, "?sort"));
    }
    shop.visit::<ListProducts>(json!({"sort": "relevance", "q": "red"})).await.unwrap();
}

#[tokio::test]
async fn lists_are_filtered_and_sorted() {
    let shop = shop_with_products().await;
    shop.stock("m3", 4).await;
    let cases = [
        (json!({}), vec!["m5", "m4", "m3", "m2", "m1"]),
        (json!({"sort": "name"}), vec!["m5", "m3", "m2", "m4", "m1"]),
        (json!({"sort": "price"}), vec!["m1", "m4", "m5", "m2", "m3"]),
        (json!({"sort": "-price"}), vec!["m3", "m2", "m5", "m4", "m1"]),
        (json!({"category": "1", "sort": "name"}), vec!["m5", "m3", "m2"]),
        (json!({"category": "kitchen", "maxPrice": "7"}), vec!["m5"]),
        (json!({"category": "garden"}), vec![]),
        (json!({"minPrice": "3.39", "maxPrice": "6.95", "sort": "price"}), vec!["m4", "m5"]),
        (json!({"attr": {"color": "RED"}, "sort": "price"}), vec!["m4", "m2"]),
        (json!({"attr": {"color": "green"}}), vec![]),
        (json!({"inStock": true}), vec!["m3"]),
        (json!({"inStock": false, "sort": "price"}), vec!["m1", "m4", "m5", "m2"]),
    ];
    for (request, expected) in cases {
        let list = shop.visit::<ListProducts>(request.clone()).await.unwrap();
        assert_eq!(skus(&list), expected, "{request}");
        assert_eq!(list["total"], expected.len(), "{request}");
    }
    shop.stock("m3", 0).await;
    assert_eq!(shop.visit::<ListProducts>(json!({"inStock": true})).await.unwrap()["total"], 0);
}

#[tokio::test]
async fn facets_count_the_products_of_the_result() {
    let shop = shop_with_products().await;
    let list = shop.visit::<ListProducts>(json!({"category": "kitchen"})).await.unwrap();
    assert_eq!(list["facets"]["categories"], json!([{"id": 1, "name": "Kitchen", "count": 3}]));
    assert_eq!(list["facets"]["price"], json!({"min": "6.95", "max": "8.50"}));
    let all = shop.visit::<ListProducts>(json!({})).await.unwrap();
    assert_eq!(all["facets"]["attributes"]["Color"][0], json!({"value": "Red", "count": 2}), "case is ignored");
}

#[tokio::test]
async fn pages_cover_the_list_when_products_come_and_go_between_them() {
    let shop = shop_with_products().await;
    for sort in ["name", "price", "-price", "newest"] {
        let whole = shop.visit::<ListProducts>(json!({"sort": sort})).await.unwrap();
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let request = json!({"sort": sort, "limit": 2, "cursor": cursor});
            let page = shop.visit::<ListProducts>(request).await.unwrap();
            seen.extend(skus(&page).into_iter().map(str::to_owned));
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
            // A product that is first in every order appears and disappears between the pages.
            let sku = format!("x-{sort}-{}", seen.len());
            let request = json!({"sku": sku, "name": "A", "price": if sort == "-price" { "99" } else { "0" }});
            let id = shop.ask::<CreateProduct>(request).await.unwrap()["id"].clone();
            if seen.len() > 2 {
                shop.ask::<ArchiveProduct>(json!({"id": id})).await.unwrap();
            }
        }
        assert_eq!(seen, skus(&whole), "{sort}");
        let rest = shop.visit::<ListProducts>(json!({"maxPrice": "0"})).await.unwrap();
        for item in rest["items"].as_array().unwrap() {
            shop.ask::<ArchiveProduct>(json!({"id": item["id"]})).await.unwrap();
        }
        let expensive = shop.visit::<ListProducts>(json!({"minPrice": "99"})).await.unwrap();
        for item in expensive["items"].as_array().unwrap() {
            shop.ask::<ArchiveProduct>(json!({"id": item["id"]})).await.unwrap();
        }
    }
    let error = shop.visit::<ListProducts>(json!({"sort": "name", "cursor": "bm9uZQ"})).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "?cursor");
}

#[tokio::test]
async fn lists_are_as_fresh_as_rows() {
    let shop = shop_with_products().await;
    shop.visit::<ListProducts>(json!({"sort": "price"})).await.unwrap();
    shop.ask::<UpdateProduct>(json!({"id": 1, "price": "50"})).await.unwrap();
    let list = shop.visit::<ListProducts>(json!({"sort": "-price", "limit": 1})).await.unwrap();
    assert_eq!((skus(&list), &list["items"][0]["price"]), (vec!["m1"], &json!("50.00")));
    shop.ask::<UpdateProduct>(json!({"id": 1, "status": "DRAFT"})).await.unwrap();
    assert_eq!(shop.visit::<ListProducts>(json!({})).await.unwrap()["total"], 4);
    assert_eq!(shop.ask::<ListProducts>(json!({})).await.unwrap()["total"], 5, "staff see all products");
    assert_eq!(skus(&shop.ask::<ListProducts>(json!({"status": "DRAFT"})).await.unwrap()), ["m1"]);
    let error = shop.visit::<ListProducts>(json!({"status": "DRAFT"})).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
}

#[tokio::test]
async fn search_tolerates_typos_and_ranks_the_best_match_first() {
    let shop = shop_with_products().await;
    shop.run_jobs().await;
    let cases = [
        ("scales", vec!["m2", "m3"]),
        ("red", vec!["m2", "m4"]),
        ("kitchen scales ivory", vec!["m3"]),
        ("kichen", vec!["m2", "m3"]),
        ("haert", vec!["m1"]),
        ("hangnig holder", vec!["m1"]),
        ("kitch", vec!["m2", "m3"]),
        ("M5", vec!["m5"]),
        ("red ivory", vec!["m2", "m3", "m4"]),
        ("zzzzzz", vec![]),
    ];
    for (words, expected) in cases {
        let list = shop.visit::<ListProducts>(json!({"q": words})).await.unwrap();
        let mut found = skus(&list);
        found.sort_unstable();
        assert_eq!(found, expected, "{words}");
    }
    let ranked = shop.visit::<ListProducts>(json!({"q": "ivory kitchen", "limit": 1})).await.unwrap();
    assert_eq!(skus(&ranked), ["m3"]);
    let sorted = shop.visit::<ListProducts>(json!({"q": "house", "sort": "price", "limit": 2})).await.unwrap();
    assert_eq!((skus(&sorted), &sorted["total"]), (vec!["m1", "m4"], &json!(5)));
    let more = shop.visit::<ListProducts>(json!({"q": "house", "cursor": null, "limit": 3})).await.unwrap();
    let rest = shop.visit::<ListProducts>(json!({"q": "house", "cursor": more["nextCursor"]})).await.unwrap();
    assert_eq!(skus(&more).len() + skus(&rest).len(), 5);
}

#[tokio::test]
async fn the_index_follows_changes_and_survives_a_restart() {
    let shop = shop_with_products().await;
    let directory = std::env::temp_dir().join(format!("promox-product-search-{}", std::process::id()));
    let place = IndexPlace::Directory(directory.clone());
    for round in 0..2 {
        let again = shop.reopen(&place).await;
        assert_eq!(again.visit::<ListProducts>(json!({"q": "scales"})).await.unwrap()["total"], 2, "{round}");
        again.ask::<UpdateProduct>(json!({"id": 1, "name": format!("Green lantern {round}")})).await.unwrap();
        again.run_jobs().await;
        assert_eq!(again.visit::<ListProducts>(json!({"q": "lantern"})).await.unwrap()["total"], 1);
        assert_eq!(again.visit::<ListProducts>(json!({"q": "hanging"})).await.unwrap()["total"], 0);
    }
    std::fs::remove_dir_all(directory).unwrap();
    shop.verify();
}

#[tokio::test]
async fn suggestions_complete_the_input() {
    let shop = shop_with_products().await;
    shop.run_jobs().await;
    let found = shop.visit::<SuggestProducts>(json!({"q": "red k"})).await.unwrap();
    assert_eq!(found["items"][0]["text"], "Red kitchen scales");
    assert_eq!(shop.visit::<SuggestProducts>(json!({"q": " "})).await.unwrap()["items"], json!([]));
}

#[tokio::test]
async fn products_are_found_across_commits_without_duplicates() {
    let shop = Shop::open().await;
    for number in 0..30 {
        let request = json!({"sku": format!("l{number}"), "name": format!("Lantern {number}"), "price": number});
        shop.ask::<CreateProduct>(request).await.unwrap();
        shop.run_jobs().await;
    }
    for id in 1..=10 {
        shop.ask::<UpdateProduct>(json!({"id": id, "name": "Candle"})).await.unwrap();
        shop.run_jobs().await;
    }
    for (words, total) in [("lantern", 20), ("candle", 10), ("lantren", 20), ("lantern 29", 1)] {
        assert_eq!(shop.visit::<ListProducts>(json!({"q": words})).await.unwrap()["total"], total, "{words}");
    }
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = shop.visit::<ListProducts>(json!({"q": "lantern", "limit": 7, "cursor": cursor})).await.unwrap();
        seen.extend(skus(&page).into_iter().map(str::to_owned));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}
