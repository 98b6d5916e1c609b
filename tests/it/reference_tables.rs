//! The tables of `docs/reference.md` are complete, and name nothing that the program does not have.

use std::collections::BTreeSet;

use crate::shop::Shop;

/// The names in the first column of the table below a heading.
fn names(text: &str, heading: &str) -> BTreeSet<String> {
    let section = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_lists_every_permission_event_and_hook() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md")).unwrap();
    let shop = Shop::start().await;
    let permissions = shop.all("/api/permissions").await.into_iter();
    let permissions: BTreeSet<String> = permissions.map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names(&text, "## Permissions"), permissions);
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    for (heading, schema) in [("## Events of webhooks", "WebhookEvent"), ("## Questions to hooks", "HookKind")] {
        let values = document["components"]["schemas"][schema]["enum"].as_array().unwrap().iter();
        let values: BTreeSet<String> = values.map(|value| value.as_str().unwrap().to_owned()).collect();
        assert_eq!(names(&text, heading), values, "{heading}");
    }
    // The description lists the same, and the event of a test.
    let listed =
        [names(&text, "## Events of webhooks"), names(&text, "## Questions to hooks"), ["TEST".to_owned()].into()];
    let described: BTreeSet<String> = document["webhooks"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(listed.into_iter().flatten().collect::<BTreeSet<_>>(), described);
    for template in shop.all("/api/notifications/templates").await {
        let key = template["key"].as_str().unwrap();
        assert!(text.contains(&format!("`{key}`")), "{key} is not among the keys of templates");
    }
    shop.close().await;
}
