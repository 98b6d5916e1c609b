//! Creating, reading, changing and archiving products, and the events that they emit.

use promox_contract::product::DescribeSkus;
use promox_kernel::Kind;
use serde_json::json;

use super::{Shop, faults};
use crate::{
    ArchiveProduct, CreateCategory, CreateProduct, GetProduct, GetProductBySku, GetProductBySlug, UpdateCategory,
    UpdateProduct,
};

#[tokio::test]
async fn a_product_is_found_by_id_sku_and_slug() {
    let shop = Shop::open().await;
    let request =
        json!({"sku": "MUG-1", "name": "Red Mug", "price": "4.5", "cost": "1.20", "attributes": {"color": "red"}});
    let created = shop.ask::<CreateProduct>(request).await.unwrap();
    assert_eq!(
        (&created["price"], &created["listPrice"], &created["slug"]),
        (&json!("4.50"), &json!("4.50"), &json!("red-mug"))
    );
    assert_eq!(
        (&created["available"], &created["version"], &created["currency"]),
        (&json!(0), &json!(1), &json!("GBP"))
    );
    let id = created["id"].clone();
    shop.stock("mug-1", 7).await;
    let by_id = shop.visit::<GetProduct>(json!({"id": id})).await.unwrap();
    assert_eq!(
        by_id["variants"],
        json!([{"id": 1, "sku": "MUG-1", "name": "", "options": {}, "price": "4.50", "listPrice": "4.50"}])
    );
    assert_eq!(by_id["available"], 7);
    assert_eq!(shop.visit::<GetProductBySku>(json!({"sku": "mug-1"})).await.unwrap(), by_id);
    assert_eq!(shop.visit::<GetProductBySlug>(json!({"slug": "red-mug"})).await.unwrap(), by_id);
    let staff = shop.ask::<GetProduct>(json!({"id": id})).await.unwrap();
    assert_eq!(staff["variants"][0]["cost"], "1.20");
    assert_eq!((shop.events_of("PRODUCT_CREATED").await.len(), shop.events_of("AUDITED").await.len()), (1, 1));
    shop.verify();
}

#[tokio::test]
async fn every_fault_is_reported_and_nothing_is_written() {
    let shop = Shop::open().await;
    let cases = [
        (json!({"name": "x", "price": "1"}), vec![("/sku", "MISSING")]),
        (json!({"sku": "a"}), vec![("/name", "MISSING"), ("/price", "MISSING")]),
        (json!({}), vec![("/sku", "MISSING"), ("/name", "MISSING"), ("/price", "MISSING")]),
        (json!({"sku": "a", "name": " ", "price": "1"}), vec![("/name", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "1.234"}), vec![("/price", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "-1"}), vec![("/price", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "1", "floorPrice": "0.001"}), vec![("/floorPrice", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "1", "categoryIds": [9]}), vec![("/categoryIds/0", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "1", "slug": "A b"}), vec![("/slug", "INVALID_VALUE")]),
        (
            json!({"sku": "a", "name": "x", "price": "1", "images": ["javascript:1"]}),
            vec![("/images/0/url", "INVALID_VALUE")],
        ),
        (json!({"sku": "a", "name": "x", "price": "1", "weightGrams": -1}), vec![("/weightGrams", "INVALID_VALUE")]),
        (json!({"sku": "a", "name": "x", "price": "1", "colour": "red"}), vec![("/colour", "UNKNOWN_MEMBER")]),
        (
            json!({"name": "x", "variants": [{"sku": "a"}, {"sku": "A", "price": "1"}]}),
            vec![("/variants/0/price", "MISSING"), ("/variants/1/sku", "DUPLICATE")],
        ),
    ];
    for (request, expected) in cases {
        let error = shop.ask::<CreateProduct>(request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Schema, "{request}");
        assert_eq!(faults(&error), expected, "{request}");
    }
    assert_eq!(shop.events_of("PRODUCT_CREATED").await.len(), 0);
}

#[tokio::test]
async fn skus_ignore_case_and_duplicate_slugs_get_suffixes() {
    let shop = Shop::open().await;
    let new_product = |sku: &str, slug: Option<&str>| json!({"sku": sku, "name": "Mug", "price": 1, "slug": slug});
    shop.ask::<CreateProduct>(new_product("a", None)).await.unwrap();
    let error = shop.ask::<CreateProduct>(new_product("A", None)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "SKU_TAKEN"));
    assert_eq!(shop.ask::<CreateProduct>(new_product("b", None)).await.unwrap()["slug"], "mug-2");
    let error = shop.ask::<CreateProduct>(new_product("c", Some("mug"))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "SLUG_TAKEN"));
    let several = json!({"sku": "d", "name": "Shirt", "variants": [{"sku": "B", "price": 1}]});
    assert_eq!(shop.ask::<CreateProduct>(several).await.unwrap_err().code(), "SKU_TAKEN");
    for number in 0..12 {
        shop.ask::<CreateProduct>(new_product(&format!("m{number}"), None)).await.unwrap();
    }
    assert_eq!(shop.visit::<GetProductBySku>(json!({"sku": "m11"})).await.unwrap()["slug"], "mug-m11");
    shop.verify();
}

#[tokio::test]
async fn a_patch_changes_only_its_members_and_increments_the_version_once() {
    let shop = Shop::open().await;
    let request =
        json!({"sku": "a", "name": "Mug", "price": 1, "attributes": {"color": "red", "size": "S"}, "weightGrams": 9});
    let id = shop.ask::<CreateProduct>(request).await.unwrap()["id"].clone();
    let patch = json!({"id": id, "price": "2", "attributes": {"color": null, "wood": "oak"}, "weightGrams": null});
    let after = shop.ask::<UpdateProduct>(patch.clone()).await.unwrap();
    assert_eq!((&after["price"], &after["version"]), (&json!("2.00"), &json!(2)));
    assert_eq!(after["attributes"], json!({"size": "S", "wood": "oak"}));
    assert!(after["weightGrams"].is_null() && after["slug"] == "mug");
    assert_eq!(shop.ask::<UpdateProduct>(patch).await.unwrap()["version"], 2, "repeating it changes nothing");
    assert_eq!(shop.events_of("PRODUCT_UPDATED").await.len(), 1);
    assert_eq!(
        shop.visit::<GetProduct>(json!({"id": id})).await.unwrap()["price"],
        "2.00",
        "the cached page is checked"
    );
    let mut stale = shop.cx();
    stale.if_match = Some(1.into());
    let error = shop.ask_as::<UpdateProduct>(stale, json!({"id": id, "name": "X"})).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Precondition);
    shop.verify();
}

#[tokio::test]
async fn an_archived_product_is_hidden_from_visitors_until_its_status_is_active_again() {
    let shop = Shop::open().await;
    let id = shop.ask::<CreateProduct>(json!({"sku": "a", "name": "Mug", "price": 1})).await.unwrap()["id"].clone();
    shop.visit::<GetProduct>(json!({"id": id})).await.unwrap();
    assert_eq!(shop.visit::<ArchiveProduct>(json!({"id": id})).await.unwrap_err().kind(), Kind::Unauthenticated);
    shop.ask::<ArchiveProduct>(json!({"id": id})).await.unwrap();
    shop.ask::<ArchiveProduct>(json!({"id": id})).await.unwrap();
    assert_eq!(shop.visit::<GetProduct>(json!({"id": id})).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.ask::<GetProduct>(json!({"id": id})).await.unwrap()["status"], "ARCHIVED");
    assert_eq!(
        shop.ask::<CreateProduct>(json!({"sku": "A", "name": "M", "price": 1})).await.unwrap_err().code(),
        "SKU_TAKEN"
    );
    shop.ask::<UpdateProduct>(json!({"id": id, "status": "ACTIVE"})).await.unwrap();
    shop.visit::<GetProduct>(json!({"id": id})).await.unwrap();
}

#[tokio::test]
async fn variants_are_replaced_as_a_whole_and_the_skus_of_removed_ones_stay_assigned() {
    let shop = Shop::open().await;
    let request = json!({"sku": "shirt", "name": "Shirt", "price": 20, "variants": [
        {"sku": "shirt-s", "name": "S", "options": {"size": "S"}},
        {"sku": "shirt-l", "name": "L", "options": {"size": "L"}, "price": "18.00"},
    ]});
    let created = shop.ask::<CreateProduct>(request).await.unwrap();
    assert_eq!((&created["price"], &created["variants"][0]["price"]), (&json!("18.00"), &json!("20.00")));
    let id = created["id"].clone();
    let error = shop.ask::<UpdateProduct>(json!({"id": id, "price": 1})).await.unwrap_err();
    assert_eq!(faults(&error), [("/price", "INVALID_VALUE")]);
    let list = json!([{"sku": "shirt-l", "price": 17}, {"sku": "shirt-xl", "price": 19}]);
    shop.ask::<UpdateProduct>(json!({"id": id, "variants": list})).await.unwrap();
    let other = json!({"sku": "SHIRT-S", "name": "Other", "price": 1});
    assert_eq!(shop.ask::<CreateProduct>(other).await.unwrap_err().code(), "SKU_TAKEN");
    let list = json!([{"sku": "shirt-l", "price": 17}, {"sku": "shirt-s", "price": 20}]);
    let restored = shop.ask::<UpdateProduct>(json!({"id": id, "variants": list})).await.unwrap();
    assert_eq!(
        restored["variants"][1]["id"], created["variants"][0]["id"],
        "a variant that is added again keeps its id"
    );
    let list = json!([{"sku": "shirt-l", "price": 17}, {"sku": "shirt-xl", "price": 19}]);
    shop.ask::<UpdateProduct>(json!({"id": id, "variants": list})).await.unwrap();
    assert_eq!(shop.visit::<GetProductBySku>(json!({"sku": "shirt-XL"})).await.unwrap()["id"], id);
    assert_eq!(shop.visit::<GetProductBySku>(json!({"sku": "SHIRT"})).await.unwrap()["id"], id);
    shop.verify();
}

#[tokio::test]
async fn other_services_get_the_data_and_costs_of_skus() {
    let shop = Shop::open().await;
    let top = shop.ask::<CreateCategory>(json!({"name": "Clothes"})).await.unwrap()["id"].clone();
    let low = shop.ask::<CreateCategory>(json!({"name": "Shirts", "parentId": top})).await.unwrap()["id"].clone();
    let request = json!({"sku": "shirt", "name": "Shirt", "categoryIds": [low], "attributes": {"cloth": "wool"},
        "floorPrice": 5, "variants": [{"sku": "S-1", "name": "Small", "options": {"size": "S"}, "price": 20, "cost": 9}]});
    shop.ask::<CreateProduct>(request).await.unwrap();
    shop.ask::<CreateProduct>(json!({"sku": "draft", "name": "Draft", "price": 1, "status": "DRAFT"})).await.unwrap();
    let skus = ["s-1", "draft", "shirt", "nothing"].map(|sku| sku.parse().unwrap()).to_vec();
    let found = shop.anonymous().call(DescribeSkus { skus }).await.unwrap().items;
    assert_eq!(
        found.len(),
        1,
        "drafts, unknown SKUs and a product's own SKU that none of its variants has are left out"
    );
    let shirt = &found[0];
    assert_eq!((shirt.sku.as_str(), shirt.name.as_str(), shirt.price), ("S-1", "Shirt, Small", shirt.list_price));
    assert_eq!(shirt.category_ids.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(shirt.attributes.len(), 2);
    assert_eq!(shirt.cost.unwrap().to_string(), "9.00");
}

#[tokio::test]
async fn descriptions_follow_every_change_of_the_catalog() {
    let shop = Shop::open().await;
    let top = shop.ask::<CreateCategory>(json!({"name": "Clothes"})).await.unwrap()["id"].clone();
    let low = shop.ask::<CreateCategory>(json!({"name": "Shirts"})).await.unwrap()["id"].clone();
    for n in 1..=3 {
        let request = json!({"sku": format!("S-{n}"), "name": "Shirt", "price": n, "categoryIds": [low]});
        shop.ask::<CreateProduct>(request).await.unwrap();
    }
    let described = async |shop: &Shop| {
        let skus = ["S-1", "s-2", "S-3", "T-1", "S-1"].map(|sku| sku.parse().unwrap()).to_vec();
        serde_json::to_value(shop.anonymous().call(DescribeSkus { skus }).await.unwrap()).unwrap()
    };
    let mut seen = vec![described(&shop).await];
    assert_eq!(described(&shop).await, seen[0], "asked again, without a change");
    for step in 0..6 {
        match step {
            0 => drop(shop.ask::<UpdateProduct>(json!({"id": 1, "price": "7"})).await.unwrap()),
            1 => drop(shop.ask::<UpdateProduct>(json!({"id": 2, "name": "Blouse", "attributes": {"a": "b"}})).await),
            2 => drop(shop.ask::<UpdateProduct>(json!({"id": 1, "sku": "T-1"})).await.unwrap()),
            3 => drop(shop.ask::<UpdateCategory>(json!({"id": low, "parentId": top})).await.unwrap()),
            4 => drop(shop.ask::<ArchiveProduct>(json!({"id": 3})).await.unwrap()),
            _ => drop(shop.ask::<UpdateProduct>(json!({"id": 3, "status": "ACTIVE"})).await.unwrap()),
        }
        let now = described(&shop).await;
        assert_ne!(&now, seen.last().unwrap(), "step {step} changes a description");
        let fresh = shop.reopen(&crate::IndexPlace::Memory).await;
        assert_eq!(now, described(&fresh).await, "step {step}: another process, which has nothing cached");
        seen.push(now);
    }
}
