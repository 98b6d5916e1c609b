//! Messages in the language of their reader.

use serde_json::{Value, json};

use crate::mailbox::wait_for_mails;
use crate::shop::{PASSWORD, Shop, order_of};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// An order with this e-mail address.
fn order_to(email: &str) -> Value {
    let mut order = order_of(&[("A", 1)], "tok_visa");
    order["email"] = json!(email);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_written_to_in_the_browsers_language() {
    let shop = Shop::start().await;
    shop.product("A", "1234.50", 100).await;
    for (address, languages, language, parts) in [
        (
            "hans@example.com",
            Some("de-DE,de;q=0.9,en;q=0.5"),
            "de",
            ["Gesamtsumme: 1.234,50\u{a0}£", "Ihre Bestellung"],
        ),
        ("urs@example.com", Some("de-CH"), "de", ["£\u{a0}1’234.50", "Bestellt am"]),
        ("zoe@example.com", Some("fr, de;q=0.5, en;q=0.1"), "de", ["Zwischensumme", "vielen Dank"]),
        ("bob@example.com", Some("en-GB, de;q=0.9"), "en", ["Total: £1,234.50", "Your order"]),
        ("eve@example.com", None, "en", ["Total: £1,234.50", "Ordered on"]),
        ("mia@example.com", Some("*, ;;q=x"), "en", ["Total: £1,234.50", "Thank you"]),
    ] {
        let client = languages.map_or(shop.anyone.clone(), |list| shop.anyone.with("accept-language", list));
        let order = client.post("/api/orders", &order_to(address)).await.expect(201);
        let invoice = shop.admin.get(&format!("/api/orders/{}/invoice", order["id"])).await;
        let page = String::from_utf8(invoice.bytes.to_vec()).unwrap();
        let (word, amount) = if language == "de" { ("Rechnung", "Gesamtsumme") } else { ("Invoice", "£1,234.50") };
        assert!(page.contains(&format!("<html lang=\"{language}\">")) && page.contains(word), "{page}");
        assert!(page.contains(amount), "{page}");
        let mail = wait_for_mails(&shop, address, 1).await.remove(0);
        assert_eq!(mail.header("Content-Language").as_deref(), Some(language), "{address}");
        assert!(mail.html.contains(&format!("<html lang=\"{language}\">")), "{}", mail.html);
        let all = format!("{}\n{}\n{}", mail.subject(), mail.text, mail.html);
        for part in parts {
            assert!(all.contains(part), "{part} in {all}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_chooses_the_language_of_messages_and_the_store_is_the_default() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.admin.patch("/api/settings/store", &json!({"locale": "de-DE"})).await.expect(200);
    let ada = shop.customer("ada@example.com").await;
    let welcome = wait_for_mails(&shop, "ada@example.com", 2).await;
    assert!(welcome.iter().all(|mail| mail.header("Content-Language").as_deref() == Some("de")), "the store's");
    let changed = ada.patch("/api/users/me", &json!({"locale": "en-gb", "timezone": "Europe/Paris"})).await.expect(200);
    assert_eq!((&changed["locale"], &changed["timezone"]), (&json!("en-GB"), &json!("Europe/Paris")));
    ada.with("accept-language", "de").post("/api/orders", &order_to("ada@example.com")).await.expect(201);
    let mails = wait_for_mails(&shop, "ada@example.com", 3).await;
    assert!(mails[2].subject().starts_with("Your order"), "the profile comes first: {}", mails[2].subject());
    let titles = loop {
        // The item is added with the outcome of the mail.
        let inbox = ada.get("/api/notifications").await.expect(200);
        let titles: Vec<String> = inbox["items"].as_array().unwrap().iter().map(|it| text(&it["title"])).collect();
        if titles.len() == 2 {
            break titles;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(titles[1], "Willkommen");
    assert!(titles[0].ends_with("confirmed"), "{titles:?}");
    // Without a choice the language of the order's browser is next.
    ada.patch("/api/users/me", &json!({"locale": null})).await.expect(200);
    ada.with("accept-language", "en").post("/api/orders", &order_to("ada@example.com")).await.expect(201);
    let mails = wait_for_mails(&shop, "ada@example.com", 4).await;
    assert!(mails[3].subject().starts_with("Your order"), "{}", mails[3].subject());
    // The choice can be made when registering, for the first messages.
    let body = json!({"email": "bob@example.com", "password": PASSWORD, "locale": "en"});
    shop.anyone.post("/api/auth/register", &body).await.expect(201);
    let first = wait_for_mails(&shop, "bob@example.com", 2).await;
    assert!(first.iter().all(|mail| mail.header("Content-Language").as_deref() == Some("en")));
    for (body, pointer) in
        [(json!({"locale": "english"}), "/locale"), (json!({"timezone": "Mars/Olympus"}), "/timezone")]
    {
        let refused = ada.patch("/api/users/me", &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_template_is_for_its_language_only() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let template = json!({
        "locale": "en", "subject": "Cheers {{ order.number }}", "text": "{{ order.totals.total|money(order.currency) }}",
        "html": "{% extends 'layout.html' %}{% block content %}{{ order.createdAt|date }}{% endblock %}",
    });
    shop.admin.put("/api/notifications/templates/order_confirmed", &template).await.expect(200);
    let listed = shop.admin.get("/api/notifications/templates?limit=200").await.expect(200);
    let of = |locale: &str| listed["items"].as_array().unwrap().iter().filter(|it| it["locale"] == locale).count();
    assert_eq!((of("en"), of("en") + of("de")), (of("de"), listed["items"].as_array().unwrap().len()));
    for (address, language, subject) in
        [("bob@example.com", "en-GB", "Cheers"), ("hans@example.com", "de", "Ihre Bestellung")]
    {
        let client = shop.anyone.with("accept-language", language);
        client.post("/api/orders", &order_to(address)).await.expect(201);
        let mail = wait_for_mails(&shop, address, 1).await.remove(0);
        assert!(mail.subject().starts_with(subject), "{}", mail.subject());
    }
    let mut wrong = template.clone();
    wrong["text"] = json!("{{ order.number|money(order.currency) }}");
    let refused = shop.admin.put("/api/notifications/templates/order_confirmed", &wrong).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/text", "{refused}");
    let german = shop.admin.get("/api/notifications/templates/order_confirmed?locale=de-AT").await.expect(200);
    assert!(german["subject"].as_str().unwrap().starts_with("Ihre Bestellung"), "{german}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_behind_links_are_in_the_language_of_their_messages() {
    let shop = Shop::start().await;
    let page = async |path: &str, languages: Option<&str>| {
        let client = languages.map_or(shop.anyone.clone(), |list| shop.anyone.with("accept-language", list));
        String::from_utf8(client.get(path).await.bytes.to_vec()).unwrap()
    };
    for (path, english, german) in [
        ("/reset-password", "Set a new password", "Neues Passwort festlegen"),
        ("/verify-email", "Confirm your e-mail address", "E-Mail-Adresse bestätigen"),
        ("/unsubscribe", "End these messages", "Diese Nachrichten abbestellen"),
        ("/setup", "Create the first administrator", "Ersten Administrator anlegen"),
    ] {
        for (languages, language, text) in [
            (None, "en", english),
            (Some("de-CH, en;q=0.5"), "de", german),
            (Some("fr, de;q=0.5"), "de", german),
            (Some("en-GB, de;q=0.5"), "en", english),
            (Some("fr"), "en", english),
        ] {
            let page = page(path, languages).await;
            assert!(page.contains(&format!("<html lang=\"{language}\">")) && page.contains(text), "{page}");
        }
    }
    shop.admin.patch("/api/settings/store", &json!({"locale": "de"})).await.expect(200);
    assert!(page("/verify-email", Some("fr")).await.contains("E-Mail-Adresse bestätigen"), "the store's language");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_confirmation_of_a_bank_transfer_says_where_to_pay() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let settings = json!({"methods": ["CARD", "BANK_TRANSFER"], "bankTransfer": " Tea & Co\r\nIBAN GB33 "});
    let stored = shop.admin.patch("/api/settings/payments", &settings).await.expect(200);
    assert_eq!(stored["bankTransfer"], "Tea & Co\nIBAN GB33");
    let long = json!({"bankTransfer": "x".repeat(2_001)});
    let refused = shop.admin.patch("/api/settings/payments", &long).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/bankTransfer");
    for (address, language, method, want) in [
        ("ann@example.com", "en", "BANK_TRANSFER", Some("Please transfer £10.00 with the reference")),
        ("anna@example.com", "de", "BANK_TRANSFER", Some("Bitte überweisen Sie 10,00\u{a0}£ mit dem Verwendungszweck")),
        ("bob@example.com", "en", "CARD", None),
    ] {
        let mut order = order_to(address);
        order["payment"] = json!({"method": method, "token": "tok_visa"});
        let order = shop.anyone.with("accept-language", language).post("/api/orders", &order).await.expect(201);
        let mail = wait_for_mails(&shop, address, 1).await.remove(0);
        let Some(want) = want else {
            assert!(!mail.text.contains("IBAN") && !mail.html.contains("IBAN"), "{}", mail.text);
            continue;
        };
        let number = order["number"].as_str().unwrap();
        assert!(mail.text.contains(&format!("{want} {number}:")), "{}", mail.text);
        assert!(mail.text.contains("Tea & Co\nIBAN GB33"), "{}", mail.text);
        assert!(mail.html.contains(want) && mail.html.contains("Tea &amp; Co\nIBAN GB33"), "{}", mail.html);
    }
    shop.admin.patch("/api/settings/payments", &json!({"bankTransfer": null})).await.expect(200);
    shop.close().await;
}
