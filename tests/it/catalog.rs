//! The catalog: products, categories, lists and search, import and export.

use serde_json::{Value, json};

use crate::shop::Shop;

async fn category(shop: &Shop, name: &str, parent: Option<&Value>) -> Value {
    let body = json!({"name": name, "parentId": parent.map(|item| item["id"].clone())});
    shop.admin.post("/api/categories", &body).await.expect(201)
}

/// Creates a product with additional members.
async fn product(shop: &Shop, sku: &str, name: &str, price: &str, more: Value) -> Value {
    let mut body = json!({"sku": sku, "name": name, "price": price});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.admin.post("/api/products", &body).await.expect(201)
}

/// Waits until a list has `count` items, as the search index follows changes with a delay, and returns their SKUs.
async fn skus(shop: &Shop, query: &str, count: usize) -> Vec<String> {
    loop {
        let list = shop.anyone.get(&format!("/api/products?{query}")).await.expect(200);
        let items = list["items"].as_array().unwrap();
        if items.len() == count {
            return items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_created_changed_and_archived() {
    let shop = Shop::start().await;
    let body =
        json!({"sku": "Tea-1", "name": "Green Tea", "price": "4.5", "cost": "1.00", "attributes": {"origin": "Uji"}});
    let answer = shop.admin.post("/api/products", &body).await;
    let created = answer.expect(201);
    assert_eq!(
        (&created["price"], &created["slug"], &created["status"]),
        (&json!("4.50"), &json!("green-tea"), &json!("ACTIVE"))
    );
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with(&format!("\"{}-", created["version"])), "{tag}");
    assert_eq!(created["variants"][0]["sku"], "Tea-1", "a simple product is one variant");
    let path = format!("/api/products/{}", created["id"]);
    shop.admin
        .post("/api/products", &json!({"sku": "TEA-1", "name": "x", "price": "1"}))
        .await
        .refused(409, "SKU_TAKEN");
    let namesake = product(&shop, "Tea-2", "Green Tea", "1.00", json!({})).await;
    assert_ne!(namesake["slug"], created["slug"], "a generated slug is unique");
    let explicit = json!({"sku": "Tea-3", "name": "x", "price": "1", "slug": "green-tea"});
    shop.admin.post("/api/products", &explicit).await.refused(409, "SLUG_TAKEN");
    let stale = shop.admin.with("if-match", "\"999\"");
    stale.patch(&path, &json!({"price": "5.00"})).await.refused(412, "VERSION_MISMATCH");
    let fresh = shop.admin.with("if-match", format!("\"{}\"", created["version"]));
    let patch = json!({"price": "5.00", "attributes": {"origin": null, "grade": "A"}, "compareAtPrice": "6.00"});
    let changed = fresh.patch(&path, &patch).await.expect(200);
    assert_eq!((&changed["price"], &changed["attributes"]), (&json!("5.00"), &json!({"grade": "A"})));
    assert_eq!(changed["name"], "Green Tea", "a patch keeps members that it does not name");
    let cleared = shop.admin.patch(&path, &json!({"compareAtPrice": null})).await.expect(200);
    assert_eq!(cleared.get("compareAtPrice"), None);
    for (client, sees_cost) in [(&shop.anyone, false), (&shop.admin, true)] {
        let seen = client.get(&path).await.expect(200);
        assert_eq!(seen["variants"][0].get("cost").is_some(), sees_cost);
    }
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    for path in [path.as_str(), "/api/products/sku/tea-1", "/api/products/slug/green-tea"] {
        assert_eq!(shop.anyone.get(path).await.status, 404, "{path}");
        assert_eq!(shop.admin.get(path).await.expect(200)["status"], "ARCHIVED");
    }
    assert_eq!(shop.anyone.get("/api/products?status=ARCHIVED").await.status, 401);
    assert_eq!(shop.admin.get("/api/products?status=ARCHIVED").await.expect(200)["total"], 1);
    assert_eq!(shop.admin.patch(&path, &json!({"status": "ACTIVE"})).await.expect(200)["status"], "ACTIVE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skus_are_kept_as_written_and_found_in_any_case() {
    let shop = Shop::start().await;
    for (sku, path) in [
        ("a/b c?#%", "a%2Fb%20c%3F%23%25"),
        ("ÄÖ-ß", "%C3%A4%C3%B6-%C3%9F"),
        ("Gift_001+", "gift_001%2B"),
        ("..", "%2E%2E"),
    ] {
        product(&shop, sku, sku, "1.00", json!({})).await;
        assert_eq!(shop.anyone.get(&format!("/api/products/sku/{path}")).await.expect(200)["sku"], sku);
        shop.admin.put(&format!("/api/inventory/{path}"), &json!({"onHand": 3})).await.expect(200);
        assert_eq!(shop.admin.get(&format!("/api/inventory/{path}")).await.expect(200)["onHand"], 3);
    }
    for bad in ["", " ", &"x".repeat(65), "a\nb"] {
        let refused =
            shop.admin.post("/api/products", &json!({"sku": bad, "name": "x", "price": "1"})).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/sku", "{bad:?}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_sold_by_their_own_skus() {
    let shop = Shop::start().await;
    let variants = json!({"sku": "SHIRT", "variants": [
        {"sku": "SHIRT-S", "name": "Small", "options": {"size": "S"}, "price": "9.00", "cost": "2.00"},
        {"sku": "SHIRT-L", "name": "Large", "options": {"size": "L"}, "price": "11.00"}]});
    let shirt = product(&shop, "SHIRT", "Shirt", "10.00", variants).await;
    assert_eq!(shirt["price"], "9.00", "the price of a product is that of its cheapest variant");
    for sku in ["shirt-s", "SHIRT-L"] {
        assert_eq!(shop.anyone.get(&format!("/api/products/sku/{sku}")).await.expect(200)["id"], shirt["id"]);
        shop.set_stock(sku, 5).await;
    }
    let body = crate::shop::order_of(&[("SHIRT-L", 2), ("SHIRT-S", 1)], "tok_visa");
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["totals"]["total"], "31.00");
    let path = format!("/api/products/{}", shirt["id"]);
    let fault = shop.admin.patch(&path, &json!({"price": "1.00"})).await.expect(422);
    assert_eq!(fault["errors"][0]["pointer"], "/price");
    let twice = json!({"variants": [{"sku": "X", "price": "1"}, {"sku": "x", "price": "1"}]});
    assert_eq!(shop.admin.patch(&path, &twice).await.expect(422)["errors"][0]["pointer"], "/variants/1/sku");
    product(&shop, "OTHER", "Other", "1.00", json!({})).await;
    let taken = json!({"variants": [{"sku": "other", "price": "1.00"}]});
    shop.admin.patch(&path, &taken).await.refused(409, "SKU_TAKEN");
    assert_eq!(skus(&shop, "attr.size=l", 1).await, ["SHIRT"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_form_a_tree_without_cycles() {
    let shop = Shop::start().await;
    let home = category(&shop, "Home", None).await;
    let kitchen = category(&shop, "Kitchen", Some(&home)).await;
    let mugs = category(&shop, "Mugs", Some(&kitchen)).await;
    let path = |it: &Value| format!("/api/categories/{}", it["id"]);
    let move_to = |it: &Value| json!({"parentId": it["id"]});
    shop.admin.patch(&path(&home), &move_to(&mugs)).await.refused(422, "CATEGORY_MISPLACED");
    shop.admin.patch(&path(&home), &move_to(&home)).await.refused(422, "CATEGORY_MISPLACED");
    product(&shop, "M-1", "Blue Mug", "3.00", json!({"categoryIds": [mugs["id"]]})).await;
    let tree = shop.anyone.get("/api/categories").await.expect(200);
    assert_eq!(tree["items"][0]["children"][0]["children"][0]["name"], "Mugs");
    assert_eq!(tree["items"][0]["productCount"], 1, "products of subcategories count");
    shop.admin.delete(&path(&kitchen)).await.refused(409, "CATEGORY_NOT_EMPTY");
    shop.admin.delete(&path(&mugs)).await.refused(409, "CATEGORY_NOT_EMPTY");
    let attic = category(&shop, "Attic", None).await;
    assert_eq!(shop.admin.delete(&format!("{}?moveTo={}", path(&kitchen), attic["id"])).await.status, 204);
    assert_eq!(shop.anyone.get(&path(&mugs)).await.expect(200)["parentId"], attic["id"]);
    let into_itself = shop.admin.delete(&format!("{}?moveTo={}", path(&attic), mugs["id"])).await;
    assert!(matches!(into_itself.status, 409 | 422), "{into_itself:?}");
    assert_eq!(shop.admin.delete(&format!("{}?moveTo={}", path(&mugs), home["id"])).await.status, 204);
    assert_eq!(skus(&shop, &format!("category={}", home["id"]), 1).await, ["M-1"]);
    assert_eq!(shop.anyone.get(&path(&mugs)).await.status, 404);
    let nowhere = json!({"sku": "X", "name": "X", "price": "1", "categoryIds": [99_999]});
    assert_eq!(shop.admin.post("/api/products", &nowhere).await.expect(422)["errors"][0]["pointer"], "/categoryIds/0");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_promotions_name_is_deleted_only_with_move_to() {
    let shop = Shop::start().await;
    let (lamps, attic) = (category(&shop, "Lamps", None).await, category(&shop, "Attic", None).await);
    let filter = |category: &Value| json!({"categories": [category["id"]]});
    let documents = |category: &Value| {
        let condition = json!({"field": "items.quantity", "op": "GTE", "value": 2, "items": filter(category)});
        let percent = |items: Value| json!({"type": "PERCENT_OFF", "value": "5", "scope": "ITEMS", "items": items});
        let bundle =
            json!({"type": "BUNDLE_PRICE", "parts": [{"items": filter(category), "quantity": 2}], "price": "5.00"});
        [
            json!({"name": "By a filter", "actions": [percent(filter(category))]}),
            json!({"name": "By an exclusion", "actions": [percent(json!({"exclude": filter(category)}))]}),
            json!({"name": "By a part", "actions": [bundle]}),
            json!({"name": "By a condition", "when": {"not": condition}, "actions": [percent(json!({}))]}),
        ]
    };
    let lamps_path = format!("/api/categories/{}", lamps["id"]);
    for document in documents(&lamps) {
        let promotion = shop.admin.post("/api/promotions", &document).await.expect(201);
        let refused = shop.admin.delete(&lamps_path).await.refused(409, "CATEGORY_IN_USE");
        assert_eq!(refused["promotionId"], promotion["id"], "{document}");
        shop.admin.post(&format!("/api/promotions/{}/archive", promotion["id"]), &json!({})).await.expect(200);
    }
    let mut promotions = Vec::new();
    for document in documents(&lamps) {
        promotions.push(shop.admin.post("/api/promotions", &document).await.expect(201));
    }
    let path = |promotion: &Value| format!("/api/promotions/{}", promotion["id"]);
    promotions[0] = shop.admin.post(&format!("{}/activate", path(&promotions[0])), &json!({})).await.expect(200);
    shop.admin.delete(&format!("{lamps_path}?moveTo=99999")).await.expect(422);
    assert_eq!(shop.admin.get(&path(&promotions[0])).await.expect(200), promotions[0], "a refusal changes nothing");
    assert_eq!(shop.admin.delete(&format!("{lamps_path}?moveTo={}", attic["id"])).await.status, 204);
    for (before, document) in promotions.iter().zip(documents(&attic)) {
        let after = shop.admin.get(&path(before)).await.expect(200);
        let expected = shop.admin.post("/api/promotions", &document).await.expect(201);
        assert_eq!((&after["actions"], after.get("when")), (&expected["actions"], expected.get("when")));
        assert_eq!(after["version"].as_i64(), before["version"].as_i64().map(|version| version + 1));
        assert_eq!(after["status"], before["status"]);
    }
    let attic_path = format!("/api/categories/{}", attic["id"]);
    shop.admin.delete(&attic_path).await.refused(409, "CATEGORY_IN_USE");
    shop.close().await;
}

/// A shop with products to search for.
async fn searchable_shop() -> Shop {
    let shop = Shop::start().await;
    let lamps = category(&shop, "Lamps", None).await;
    let members = |color: &str| json!({"categoryIds": [lamps["id"]], "attributes": {"color": color}});
    product(&shop, "L-1", "White Metal Lantern", "3.39", members("white")).await;
    product(&shop, "L-2", "Red Glass Lantern", "12.00", members("red")).await;
    product(&shop, "L-3", "Oil Lamp", "7.50", members("red")).await;
    product(&shop, "H-1", "Hanging Heart Holder", "2.55", json!({"attributes": {"color": "white"}})).await;
    product(&shop, "D-1", "Hidden Lantern", "1.00", json!({"status": "DRAFT"})).await;
    shop.set_stock("L-1", 5).await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn search_tolerates_typos_filters_sorts_and_counts() {
    let shop = searchable_shop().await;
    let mut found = skus(&shop, "q=lantern", 2).await;
    found.sort();
    assert_eq!(found, ["L-1", "L-2"]);
    for typo in ["lantren", "lanterm", "LANTERN", "lanter"] {
        assert_eq!(skus(&shop, &format!("q={typo}"), 2).await.len(), 2, "{typo}");
    }
    assert!(skus(&shop, &format!("q={}", "n".repeat(70)), 0).await.is_empty(), "no word is ignored");
    for path in ["/api/products?q=", "/api/products/suggest?q="] {
        let refused = shop.anyone.get(&format!("{path}{}", "lantern%20".repeat(17))).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "?q");
    }
    assert_eq!(skus(&shop, "q=red%20lantern", 1).await.first().map(String::as_str), Some("L-2"));
    for (query, expected) in [
        ("sort=price", &["H-1", "L-1", "L-3", "L-2"][..]),
        ("sort=-price", &["L-2", "L-3", "L-1", "H-1"]),
        ("sort=name", &["H-1", "L-3", "L-2", "L-1"]),
        ("sort=newest", &["H-1", "L-3", "L-2", "L-1"]),
        ("sort=price&minPrice=3.39&maxPrice=7.50", &["L-1", "L-3"]),
        ("sort=price&attr.color=RED", &["L-3", "L-2"]),
        ("sort=price&category=lamps", &["L-1", "L-3", "L-2"]),
        ("sort=price&inStock=true", &["L-1"]),
        ("sort=price&inStock=false&category=lamps", &["L-3", "L-2"]),
    ] {
        assert_eq!(skus(&shop, query, expected.len()).await, expected, "{query}");
    }
    let list = shop.anyone.get("/api/products?limit=1").await.expect(200);
    assert_eq!(list["total"], 4);
    assert_eq!(list["facets"]["price"], json!({"min": "2.55", "max": "12.00"}));
    assert_eq!(list["facets"]["categories"][0]["count"], 3);
    let colors = json!([{"value": "red", "count": 2}, {"value": "white", "count": 2}]);
    assert_eq!(list["facets"]["attributes"]["color"], colors);
    for (query, pointer) in [
        ("sort=up", "?sort"),
        ("minPrice=x", "?minPrice"),
        ("inStock=maybe", "?inStock"),
        ("noSuchMember=1", "?noSuchMember"),
    ] {
        let problem = shop.anyone.get(&format!("/api/products?{query}")).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query} → {problem}");
    }
    let suggested = shop.anyone.get("/api/products/suggest?q=lan").await.expect(200);
    let names: Vec<&str> =
        suggested["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{suggested}");
    assert!(names.iter().all(|name| name.contains("Lantern") && !name.contains("Hidden")), "{names:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_search_queries_do_not_fail() {
    let shop = searchable_shop().await;
    for q in [
        "%22",
        "AND+OR",
        "%2A%3A%2A",
        "%28%29",
        "name%3Ax",
        "%5C",
        "%F0%9F%90%8C",
        "%00",
        "~~",
        "-",
        &"a".repeat(2_000),
        &"a%20".repeat(500),
        "%27%20OR%201%3D1",
    ] {
        for path in ["/api/products?q=", "/api/products/suggest?q="] {
            let answer = shop.anyone.get(&format!("{path}{q}")).await;
            assert!(matches!(answer.status, 200 | 422), "{path}{q}: {answer:?}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pagination_is_complete_while_products_are_added() {
    let shop = Shop::start().await;
    for number in 0..30 {
        product(
            &shop,
            &format!("P-{number:02}"),
            &format!("Thing {number:02}"),
            &format!("{}.00", number + 10),
            json!({}),
        )
        .await;
    }
    for (sort, before, after) in
        [("price", "1.00", "99.00"), ("-price", "99.50", "1.50"), ("name", "5.00", "6.00"), ("newest", "7.00", "8.00")]
    {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for page in 0.. {
            let path = format!("/api/products?limit=7&sort={sort}{cursor}");
            let list = shop.anyone.get(&path).await.expect(200);
            seen.extend(list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()));
            let Some(next) = list["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            for (end, price) in [("a", before), ("z", after)] {
                let sku = format!("NEW{sort}{end}{page}");
                product(&shop, &sku, &format!("{end} new {page}"), price, json!({})).await;
            }
        }
        seen.retain(|sku| sku.starts_with("P-"));
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (30, 30), "{sort}: every product appears exactly once: {seen:?}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_applies_valid_rows_and_reports_the_others() {
    let shop = Shop::start().await;
    let import = |media: &'static str, body: &str| {
        let (admin, body) = (shop.admin.clone(), body.to_owned());
        async move { admin.send("POST", "/api/products/import", media, body.into()).await.unwrap() }
    };
    let csv = "sku,name,price,attr.color\nI-1,First,1.50,red\nI-2,,2.00,\nI-3,Third,abc,\nI-4,\"Fourth, with comma\",4.00,blue\nI-5,Fifth\n,Sixth,1.00,\nI-1,First again,1.75,red\n";
    let report = import("text/csv", csv).await.expect(200);
    let rows: Vec<u64> =
        report["errors"].as_array().unwrap().iter().map(|error| error["row"].as_u64().unwrap()).collect();
    assert_eq!(
        (report["created"].clone(), report["updated"].clone(), report["failed"].clone()),
        (json!(2), json!(1), json!(4)),
        "{report}"
    );
    assert_eq!(rows, [2, 3, 5, 6], "{report}");
    assert_eq!(shop.anyone.get("/api/products/sku/i-1").await.expect(200)["price"], "1.75");
    assert_eq!(shop.anyone.get("/api/products/sku/i-4").await.expect(200)["name"], "Fourth, with comma");
    let lines = "{\"sku\":\"N-1\",\"name\":\"N\",\"price\":\"1.00\"}\n{bad\n\n{\"sku\":\"N-2\",\"name\":\"N\",\"price\":\"1.00\",\"typo\":1}\n{\"sku\":\"I-4\",\"price\":4}\n";
    let report = import("application/x-ndjson", lines).await.expect(200);
    assert_eq!((&report["created"], &report["failed"]), (&json!(1), &json!(2)), "{report}");
    assert_eq!(report["skipped"], 1, "a row without changes is skipped: {report}");
    assert_eq!(import("application/json", "[]").await.status, 415);
    let nameless = import("text/csv", "name,price\nx,1\n").await;
    assert!(nameless.status >= 400 || nameless.json()["failed"] == 1, "{nameless:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_an_export_reproduces_the_catalog() {
    let shop = searchable_shop().await;
    let variants = json!({"variants": [
        {"sku": "S-S", "name": "Small", "options": {"size": "S"}, "price": "9.00", "cost": "2.00", "barcode": "123"},
        {"sku": "S-L", "name": "Large", "options": {"size": "L"}, "price": "11.00"}]});
    product(&shop, "S", "Shirt \"fine\", soft", "10.00", variants).await;
    for (format, media) in [("csv", "text/csv"), ("ndjson", "application/x-ndjson")] {
        let path = format!("/api/products/export?format={format}");
        let export = shop.admin.get(&path).await;
        assert_eq!(export.status, 200);
        let reimport =
            shop.admin.send("POST", "/api/products/import", media, export.bytes.clone()).await.unwrap().expect(200);
        assert_eq!(
            (&reimport["failed"], &reimport["updated"], &reimport["created"]),
            (&json!(0), &json!(0), &json!(0)),
            "{format}: {reimport}"
        );
        let other = Shop::start().await;
        category(&other, "Lamps", None).await;
        let report =
            other.admin.send("POST", "/api/products/import", media, export.bytes.clone()).await.unwrap().expect(200);
        assert_eq!((&report["failed"], &report["errors"]), (&json!(0), &json!([])), "{format}: {report}");
        let again = other.admin.get(&path).await;
        assert_eq!(again.bytes, export.bytes, "{format}");
        other.close().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_get_returns_304_until_the_product_changes() {
    let shop = Shop::start().await;
    let tea = product(&shop, "TEA", "Tea", "4.50", json!({})).await;
    let path = format!("/api/products/{}", tea["id"]);
    let tag_of = async || {
        let answer = shop.anyone.get(&path).await;
        answer.expect(200);
        answer.headers["etag"].to_str().unwrap().to_owned()
    };
    let first = tag_of().await;
    let known = shop.anyone.with("if-none-match", &first);
    let same = known.get(&path).await;
    assert_eq!((same.status, same.headers["etag"].to_str().unwrap(), same.bytes.len()), (304, first.as_str(), 0));
    shop.set_stock("TEA", 5).await;
    let restocked = known.get(&path).await;
    assert_eq!(restocked.expect(200)["version"], tea["version"], "stock changes the ETag but not the version");
    let second = tag_of().await;
    assert_ne!(first, second);
    shop.admin.with("if-match", &first).patch(&path, &json!({"name": "Green Tea"})).await.expect(200);
    shop.admin.with("if-match", &second).patch(&path, &json!({"name": "x"})).await.refused(412, "VERSION_MISMATCH");
    assert_eq!(shop.anyone.with("if-none-match", &second).get(&path).await.expect(200)["name"], "Green Tea");
    shop.close().await;
}
