//! Imports, exports, and the catalog derived from the Online Retail data set.

use std::time::Duration;

use promox_contract::import::ImportReport;
use promox_kernel::{Body, BodyReader, Content, Cx, Handle};
use serde_json::json;

use super::Shop;
use crate::online_retail::catalog;
use crate::{
    CreateCategory, CreateProduct, DeleteCategory, ExportFormat, ExportProducts, GetProductBySku, ImportProducts,
    ListCategories,
};

async fn import(shop: &Shop, media_type: &str, text: &str) -> ImportReport {
    send(shop, media_type, text, false).await
}

async fn send(shop: &Shop, media_type: &str, text: &str, dry_run: bool) -> ImportReport {
    let (sender, reader) = BodyReader::pair();
    let chunks: Vec<_> = text.as_bytes().chunks(4_096).map(<[u8]>::to_vec).collect();
    let body = Body { media_type: media_type.to_owned(), reader: Some(reader), headers: Vec::new() };
    let cx = shop.cx();
    let sending = async move {
        for chunk in chunks {
            sender.send(Ok(chunk.into())).await;
        }
    };
    let importing = shop.service.handle(&cx, ImportProducts { dry_run, body });
    tokio::join!(importing, sending).0.unwrap()
}

impl Shop {
    /// The id of a category by its name.
    async fn category_id(&self, name: &str) -> serde_json::Value {
        fn find(nodes: &serde_json::Value, name: &str) -> Option<serde_json::Value> {
            nodes.as_array()?.iter().find_map(|node| {
                if node["name"] == name { Some(node["id"].clone()) } else { find(&node["children"], name) }
            })
        }
        find(&self.visit::<ListCategories>(json!({})).await.unwrap()["items"], name).unwrap()
    }
}

async fn export(shop: &Shop, format: ExportFormat) -> String {
    let reply = shop.service.handle(&shop.cx(), ExportProducts { format: Some(format) }).await.unwrap();
    let Content::Stream(_, reader) = reply.content else { panic!("an export is a stream") };
    String::from_utf8(reader.collect(1 << 20).await.unwrap()).unwrap()
}

fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.created, report.updated, report.skipped, report.failed)
}

#[tokio::test]
async fn a_faulty_row_does_not_affect_the_others() {
    let shop = Shop::open().await;
    shop.ask::<CreateCategory>(json!({"name": "Kitchen"})).await.unwrap();
    let text = "sku,name,price,categories,attr.color,productSku,option.size\n\
        a,Mug,2.50,kitchen,red,,\n\
        b,Bowl,nope,,,,\n\
        c,,1.00,,,,\n\
        d,Dish,1.001,,,,\n\
        e,Egg,1,garden,,,\n\
        f,Fork\n\
        A,Mug,2.50,,red,,\n\
        a,,3,,,,\n\
        s-1,Shirt,20,,,shirt,S\n\
        s-2,,21,,,shirt,L\n\
        S-1,Spoon,1,,,,\n";
    let report = import(&shop, "text/csv", text).await;
    assert_eq!(counts(&report), (2, 2, 1, 6), "{report:?}");
    let errors: Vec<(u64, &str)> = report.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    let expected = [
        (2, "INVALID_VALUE"),
        (3, "MISSING"),
        (4, "VALIDATION_FAILED"),
        (5, "INVALID_VALUE"),
        (6, "FIELD_COUNT"),
        (11, "SKU_TAKEN"),
    ];
    assert_eq!(errors, expected);
    let shirt = shop.visit::<GetProductBySku>(json!({"sku": "s-2"})).await.unwrap();
    assert_eq!((shirt["variants"].as_array().unwrap().len(), &shirt["sku"]), (2, &json!("shirt")));
    let error = import(&shop, "text/csv", "SKU number,colour\na,red\n").await;
    assert_eq!(error.errors[0].code, "BAD_HEADER");
    shop.verify();
}

#[tokio::test]
async fn lines_of_json_are_validated_against_the_schema() {
    let shop = Shop::open().await;
    let text = "{\"sku\":\"a\",\"name\":\"Mug\",\"price\":\"2\"}\n\n{\"sku\":\"a\",\"price\":3}\n{\"sku\":\"b\",\"nmae\":1}\n\
        {\"name\":\"x\"}\nnonsense\n{\"sku\":\"c\",\"name\":\"Cup\",\"price\":1}";
    let report = import(&shop, "application/x-ndjson", text).await;
    assert_eq!(counts(&report), (2, 1, 0, 3), "{report:?}");
    let rows: Vec<u64> = report.errors.iter().map(|error| error.row).collect();
    assert_eq!(rows, [4, 5, 6]);
    shop.verify();
}

#[tokio::test]
async fn an_export_can_be_imported() {
    let shop = Shop::open().await;
    shop.ask::<CreateCategory>(json!({"name": "Kitchen"})).await.unwrap();
    let mug = json!({"sku": "mug", "name": "Mug, \"red\"", "price": "2.50", "cost": 1, "categoryIds": [1], "weightGrams": 300,
        "attributes": {"color": "red|blue"}, "images": ["https://x.org/1.png", {"url": "/2.png"}], "floorPrice": 1});
    let shirt = json!({"sku": "shirt", "name": "Shirt", "price": 20, "status": "DRAFT", "variants": [
        {"sku": "s-1", "name": "S", "options": {"size": "S"}}, {"sku": "s-2", "name": "L", "options": {"size": "L"}}]});
    for request in [mug, shirt] {
        shop.ask::<CreateProduct>(request).await.unwrap();
    }
    for (format, media_type, rows) in
        [(ExportFormat::Csv, "text/csv", 3), (ExportFormat::Ndjson, "application/x-ndjson", 3)]
    {
        let text = export(&shop, format).await;
        assert_eq!(counts(&import(&shop, media_type, &text).await), (0, 0, rows, 0), "{text}");
        let other = Shop::open().await;
        other.ask::<CreateCategory>(json!({"name": "Kitchen"})).await.unwrap();
        let report = import(&other, media_type, &text).await;
        assert_eq!((report.created, report.failed), (2, 0), "{report:?}");
        assert_eq!(export(&other, format).await, text);
        other.verify();
    }
}

#[tokio::test]
async fn a_catalog_moves_to_an_empty_shop_with_its_categories() {
    let shop = Shop::open().await;
    // Ids differ in the other shop: the first category is gone.
    let gone = shop.ask::<CreateCategory>(json!({"name": "Gone"})).await.unwrap();
    for (name, parent, position) in
        [("Home", None, 3), ("Kitchen", Some("Home"), 1), ("Cups \"fine\"", Some("Kitchen"), 0)]
    {
        let parent = match parent {
            Some(parent) => Some(shop.category_id(parent).await),
            None => None,
        };
        shop.ask::<CreateCategory>(json!({"name": name, "parentId": parent, "position": position})).await.unwrap();
    }
    shop.ask::<DeleteCategory>(json!({"id": gone["id"]})).await.unwrap();
    let (home, cups) = (shop.category_id("Home").await, shop.category_id("Cups \"fine\"").await);
    for (sku, ids) in [("a", vec![cups, home.clone()]), ("b", vec![home]), ("c", Vec::new())] {
        let product = json!({"sku": sku, "name": sku, "price": "2.50", "categoryIds": ids});
        shop.ask::<CreateProduct>(product).await.unwrap();
    }
    let text = export(&shop, ExportFormat::Ndjson).await;
    let other = Shop::open().await;
    let dry = send(&other, "application/x-ndjson", &text, true).await;
    assert_eq!(counts(&dry), (6, 0, 0, 0), "{dry:?}");
    assert_eq!(export(&other, ExportFormat::Ndjson).await, "", "nothing was changed");
    let report = import(&other, "application/x-ndjson", &text).await;
    assert_eq!(report, dry, "the report said what would be done");
    for format in [ExportFormat::Ndjson, ExportFormat::Csv] {
        assert_eq!(export(&other, format).await, export(&shop, format).await);
    }
    assert_eq!(counts(&import(&other, "application/x-ndjson", &text).await), (0, 0, 6, 0));
    // A table needs the categories, which it only names.
    let table = export(&shop, ExportFormat::Csv).await;
    let empty = Shop::open().await;
    assert_eq!(counts(&import(&empty, "text/csv", &table).await), (1, 0, 0, 2));
    shop.verify();
    other.verify();
}

#[tokio::test]
async fn prices_in_another_currency_and_faulty_categories_are_refused() {
    let shop = Shop::open().await;
    let currency = "sku,name,price,currency\na,Mug,2.50,EUR\nb,Cup,2.50,GBP\nc,Pot,2.50,pounds\n";
    let report = import(&shop, "text/csv", currency).await;
    let codes: Vec<&str> = report.errors.iter().map(|error| error.code.as_str()).collect();
    assert_eq!((report.created, codes), (1, vec!["CURRENCY_MISMATCH", "INVALID_VALUE"]), "{report:?}");
    let lines = [
        json!({"type": "CATEGORY", "slug": "a", "name": "A", "parent": "none"}),
        json!({"type": "CATEGORY", "slug": "b", "name": ""}),
        json!({"type": "CATEGORY", "slug": "c", "name": "C", "parnet": "a"}),
        json!({"type": "CATEGORY", "slug": "d", "name": "D"}),
        json!({"type": "PRODUCT", "sku": "x", "name": "X", "price": 1, "currency": "EUR"}),
        json!({"type": "PRODUCT", "sku": "x", "name": "X", "price": 1, "categories": ["d", "nowhere"]}),
        json!({"sku": "x", "name": "X", "price": 1, "currency": "GBP", "categories": ["d"]}),
        json!({"type": "THING", "sku": "y", "name": "Y", "price": 1}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    for is_dry in [true, false] {
        let report = send(&shop, "application/x-ndjson", &text, is_dry).await;
        assert_eq!(counts(&report), (2, 0, 0, 6), "{report:?}");
        let rows: Vec<u64> = report.errors.iter().map(|error| error.row).collect();
        assert_eq!(rows, [1, 2, 3, 5, 6, 8]);
    }
    shop.verify();
}

#[tokio::test]
async fn many_rows_are_imported_in_chunks() {
    let shop = Shop::open().await;
    let rows: Vec<String> = (0..1_001).map(|row| format!("sku-{row},Thing {row},{}.99", row % 50)).collect();
    let report = import(&shop, "text/csv", &format!("sku,name,price\n{}", rows.join("\n"))).await;
    assert_eq!(counts(&report), (1_001, 0, 0, 0));
    shop.run_jobs().await;
    let found = shop.visit::<crate::ListProducts>(json!({"q": "thing 1000"})).await.unwrap();
    assert_eq!(found["items"][0]["sku"], "sku-1000");
    shop.verify();
}

#[tokio::test]
async fn a_chunk_that_is_too_large_is_imported_row_by_row() {
    let shop = Shop::open().await;
    let lines: Vec<String> = (0..150)
        .map(|row| json!({"sku": format!("s{row}"), "name": "Book", "price": 1, "description": "é".repeat(19_000)}))
        .map(|line| line.to_string())
        .collect();
    let report = import(&shop, "application/x-ndjson", &lines.join("\n")).await;
    assert_eq!(counts(&report), (150, 0, 0, 0));
    shop.verify();
}

#[tokio::test]
async fn a_catalog_is_derived_from_sales() {
    let file = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n\
        1,85123A,WHITE HEART,6,2010-12-01T08:26:00,2.55,17850\n\
        1,85123a,WHITE HEART,4,2010-12-01T08:26:00,2.95,17850\n\
        2,85123A,damaged,2,2010-12-01T08:26:00,2.55,\n\
        2,85123A,,-2,2010-12-01T08:26:00,2.55,\n\
        2,22222,?,5,2010-12-01T08:26:00,0,\n\
        2,POST,POSTAGE,1,2010-12-01T08:26:00,18,\n\
        2,33333,,1,2010-12-01T08:26:00,0.85,\n\
        2,44444,X,many,2010-12-01T08:26:00,0.85,\n\
        2\n";
    let (rows, report) = catalog(file.as_bytes());
    let products: Vec<_> =
        rows.iter().map(|row| (row.sku.as_str(), row.name.as_str(), row.price.to_string(), row.stock)).collect();
    assert_eq!(
        products,
        [
            ("33333", "33333", "0.85".to_owned(), 1),
            ("85123A", "WHITE HEART", "2.55".to_owned(), 12),
            ("POST", "POSTAGE", "18".to_owned(), 1)
        ]
    );
    assert_eq!((report.rows, report.sales, report.skipped, report.failed), (9, 5, 2, 2));
    assert!(!rows[2].discountable && rows[2].attributes["kind"] == "charge");
    let shop = Shop::open().await;
    let cx = Cx::system(&shop.node, "import", Duration::from_secs(60));
    assert_eq!(counts(&shop.service.import_catalog(&cx, &rows).await.unwrap()), (3, 0, 0, 0));
    assert_eq!(counts(&shop.service.import_catalog(&cx, &rows).await.unwrap()), (0, 0, 3, 0));
    shop.verify();
}

#[tokio::test]
async fn tables_of_other_programs_are_understood() {
    let shop = Shop::open().await;
    let text = "sku;name;pirce;price\na;Mug;;2,50\nb;\"Bowl;;3\nc;Cup;;4\nd;Pan;;1.234,50\n";
    let report = import(&shop, "text/csv", text).await;
    let errors: Vec<(u64, &str, &str)> =
        report.errors.iter().map(|error| (error.row, error.code.as_str(), error.detail.as_str())).collect();
    let expected = [
        (2, "UNCLOSED_QUOTE", "line 3: the quote that opens field 2 is never closed"),
        (4, "INVALID_VALUE", "price: \"1.234,50\" must be an amount"),
    ];
    assert_eq!((counts(&report), errors.as_slice()), ((2, 0, 0, 2), expected.as_slice()), "{report:?}");
    let [warning] = report.warnings.as_slice() else { panic!("{:?}", report.warnings) };
    let detail = "there is no column \"pirce\", so it was ignored: did you mean \"price\"?";
    assert_eq!((warning.column.as_str(), warning.detail.as_str()), ("pirce", detail));
    let mug = shop.visit::<GetProductBySku>(json!({"sku": "a"})).await.unwrap();
    assert_eq!(mug["price"], "2.50");
    shop.verify();
}

/// A line of a category in an import.
fn category_line(slug: &str, parent: Option<&str>, position: u64) -> String {
    json!({"type": "CATEGORY", "slug": slug, "name": slug, "parent": parent, "position": position}).to_string()
}

#[tokio::test]
async fn a_dry_run_finds_the_faults_among_the_lines_of_a_file() {
    let cycle = [("a", None), ("b", Some("a")), ("c", Some("b")), ("a", Some("c")), ("b", None), ("a", Some("c"))];
    let cycle = cycle.map(|(slug, parent)| category_line(slug, parent, 0)).to_vec();
    let names: Vec<String> = (0..18).map(|level| format!("level-{level}")).collect();
    let level = |(level, name): (usize, &String)| {
        category_line(name, level.checked_sub(1).and_then(|above| names.get(above)).map(String::as_str), 0)
    };
    let deep: Vec<String> = names.iter().enumerate().map(level).collect();
    let late = vec![category_line("below", Some("later"), 0), category_line("later", None, 0)];
    let repeated = vec![category_line("x", None, 1), category_line("x", None, 1), category_line("x", None, 2)];
    let product =
        |category: &str| json!({"sku": category, "name": "P", "price": 1, "categories": [category]}).to_string();
    let mixed = vec![product("m"), category_line("m", None, 0), product("m"), category_line("n", Some("m"), 0)];
    // Far more lines than one transaction writes lie between a category and what depends on it.
    let mut far = vec![category_line("first", None, 0)];
    far.extend((0..450).map(|row| category_line(&format!("far-{row}"), Some("first"), row)));
    far.extend([category_line("first", Some("far-3"), 0), category_line("far-4", Some("far-3"), 9)]);
    let expected: [(&[u64], u64); 6] = [(&[4], 3), (&[17, 18], 16), (&[1], 1), (&[], 1), (&[1], 3), (&[452], 451)];
    for (lines, (refused, created)) in [cycle, deep, late, repeated, mixed, far].iter().zip(expected) {
        let shop = Shop::open().await;
        let dry = send(&shop, "application/x-ndjson", &lines.join("\n"), true).await;
        assert_eq!(export(&shop, ExportFormat::Ndjson).await, "", "nothing was changed");
        let report = import(&shop, "application/x-ndjson", &lines.join("\n")).await;
        assert_eq!(dry, report);
        let rows: Vec<u64> = report.errors.iter().map(|error| error.row).collect();
        assert_eq!((rows.as_slice(), report.created), (refused, created), "{report:?}");
        shop.verify();
    }
}

#[tokio::test]
async fn a_dry_run_of_any_categories_reports_what_an_import_does() {
    // Every file is made of few names, so that its lines meet each other; a shop that has categories meets them too.
    let shop = Shop::open().await;
    let mut state = 7_u64;
    let mut draw = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut refused = 0;
    for _ in 0..12 {
        let lines: Vec<String> = (0..120)
            .map(|_| {
                let parent = format!("c{}", draw(24));
                category_line(&format!("c{}", draw(24)), Some(parent.as_str()).filter(|_| draw(6) > 0), draw(3))
            })
            .collect();
        let dry = send(&shop, "application/x-ndjson", &lines.join("\n"), true).await;
        let report = import(&shop, "application/x-ndjson", &lines.join("\n")).await;
        assert_eq!(dry, report);
        refused += report.failed;
    }
    assert!(refused > 100, "{refused} lines were refused, among them cycles");
    shop.verify();
}
