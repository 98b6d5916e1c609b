//! Editing and previewing templates.

use promox_kernel::{Cx, Error, Kind, Limit};
use serde_json::{Map, json};

use super::shop::{Shop, confirmed};
use crate::Channel;
use crate::api::{GetTemplate, ListTemplates, PreviewTemplate, PutTemplate, TemplateView};

fn put(locale: Option<&str>, subject: &str, html: &str) -> PutTemplate {
    PutTemplate {
        key: "order_confirmed".to_owned(),
        channel: None,
        locale: locale.map(|text| text.parse().unwrap()),
        subject: subject.to_owned(),
        html: Some(html.to_owned()),
        text: "Thank you".to_owned(),
    }
}

impl Shop {
    async fn template(&self, locale: Option<&str>) -> TemplateView {
        let op = GetTemplate {
            key: "order_confirmed".to_owned(),
            channel: None,
            locale: locale.map(|text| text.parse().unwrap()),
        };
        self.cx().call(op).await.unwrap()
    }
}

#[tokio::test]
async fn a_merchants_template_is_used_for_its_locale_and_its_regions() {
    let shop = Shop::open();
    assert_eq!((shop.template(None).await.version, shop.template(None).await.customized), (0, false));
    let view = shop.cx().call(put(None, "Danke {{ order.number }}", "<b>{{ name }}</b>")).await.unwrap();
    assert_eq!((view.version, view.customized, view.locale.as_str()), (1, true, "en"));
    shop.publish(1, confirmed(1)).await;
    shop.work().await;
    assert!(shop.mails()[0].contains("Subject: Danke N-1"));
    let region = shop.template(Some("en-gb")).await;
    assert_eq!((region.locale.as_str(), region.customized), ("en-GB", false));
    assert_eq!(region.subject, "Danke {{ order.number }}", "the template that would be used");
}

#[tokio::test]
async fn a_template_that_does_not_render_is_refused_with_part_and_line() {
    let shop = Shop::open();
    for (subject, html, pointer, line) in [
        ("{{ order.numbr }}", "x", "/subject", 1),
        ("ok", "one\ntwo\n{% for line in order.lines %}", "/html", 3),
        ("ok", "one\n{{ order.number|shout }}", "/html", 2),
        ("ok", "{{ name.first }}", "/html", 1),
    ] {
        let error = shop.cx().call(put(None, subject, html)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Schema);
        assert_eq!((error.errors()[0].pointer.as_str(), &error.members()["line"]), (pointer, &json!(line)), "{error}");
    }
    assert!(!shop.template(None).await.customized, "the template is unchanged");
    let missing = PutTemplate { html: None, ..put(None, "ok", "") };
    assert_eq!(shop.cx().call(missing).await.unwrap_err().errors()[0].pointer, "/html");
    let unknown = PutTemplate { key: "nonsense".to_owned(), ..put(None, "ok", "x") };
    assert_eq!(shop.cx().call(unknown).await.unwrap_err().kind(), Kind::NotFound);
    let secret =
        PutTemplate { key: "password_reset".to_owned(), channel: Some(Channel::Inbox), ..put(None, "ok", "x") };
    assert_eq!(
        shop.cx().call(secret).await.unwrap_err().kind(),
        Kind::NotFound,
        "messages with secrets have no inbox template"
    );
}

#[tokio::test]
async fn a_template_is_not_overwritten_from_an_older_version() {
    let shop = Shop::open();
    let at = |version: i64, subject: &'static str| {
        let cx = Cx { if_match: Some(version.into()), ..shop.cx() };
        let notifications = shop.service.clone();
        async move {
            let answer: Result<TemplateView, Error> =
                promox_kernel::Handle::handle(&*notifications, &cx, put(None, subject, "x")).await;
            answer
        }
    };
    assert_eq!(at(0, "one").await.unwrap().version, 1);
    assert_eq!(at(0, "two").await.unwrap_err().kind(), Kind::Precondition);
    assert_eq!(at(1, "two").await.unwrap().version, 2);
}

#[tokio::test]
async fn templates_are_listed_in_pages() {
    let shop = Shop::open();
    shop.cx().call(put(Some("de"), "Danke", "x")).await.unwrap();
    shop.cx().call(put(Some("en"), "Thanks", "x")).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let limit: Limit = serde_json::from_str("7").unwrap();
        let page = shop.cx().call(ListTemplates { limit, cursor: cursor.take() }).await.unwrap();
        assert!(page.items.len() <= 7);
        seen.extend(page.items.into_iter().map(|item| (item.key, item.channel, item.locale, item.customized)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 2 * crate::templates::all().count(), "the built-in ones in two languages");
    assert_eq!(seen.iter().filter(|item| item.3).count(), 2);
}

#[tokio::test]
async fn a_preview_renders_a_draft_with_sample_data() {
    let shop = Shop::open();
    let draft = PreviewTemplate {
        key: "order_confirmed".to_owned(),
        channel: None,
        locale: None,
        subject: Some("{{ name }}: {{ order.totals.total }}".to_owned()),
        html: None,
        text: None,
        data: Map::from_iter([("name".to_owned(), json!("Grace"))]),
    };
    let preview = shop.cx().call(draft.clone()).await.unwrap();
    assert_eq!(preview.subject, "Grace: 17.72");
    assert!(preview.html.contains("White hanging heart"), "omitted parts are the template's");
    let broken = PreviewTemplate { text: Some("{{ oops }}".to_owned()), ..draft };
    assert_eq!(shop.cx().call(broken).await.unwrap_err().errors()[0].pointer, "/text");
}
