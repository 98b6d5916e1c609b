//! Status changes by request, at scheduled times, and after the node was down.

use promox_contract::campaign::GetCampaignStates;
use promox_contract::ids::CampaignId;
use promox_contract::promotion::RejectReason;
use promox_kernel::Kind;
use promox_testkit::{code, pointers};
use serde_json::{Value, json};

use super::Shop;
use crate::{CreateCampaign, DeleteCampaign, GetCampaign, ListCampaigns, ListHistory, UpdateCampaign};

async fn reason(shop: &Shop, id: i64) -> Option<RejectReason> {
    let found = shop.call(GetCampaignStates { ids: vec![CampaignId(id)], customer: None }).await.unwrap();
    assert_eq!(found.items[0].running, found.items[0].reason.is_none());
    found.items[0].reason
}

async fn path(shop: &Shop, id: i64) -> String {
    let page = shop.ask::<ListHistory>(json!({ "id": id })).await.unwrap();
    let steps = page["items"].as_array().unwrap().iter();
    steps
        .map(|step| format!("{}/{}", step["to"].as_str().unwrap(), step["reason"].as_str().unwrap()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn only_certain_transitions_are_allowed() {
    let shop = Shop::open();
    let made = shop.ask::<CreateCampaign>(json!({"name": "Spring"})).await.unwrap();
    assert_eq!((made["status"].as_str(), made["timezone"].as_str()), (Some("DRAFT"), Some("Europe/London")));
    assert_eq!((made["spent"].as_str(), made["budget"].is_null()), (Some("0.00"), true));
    let refused = shop.change_status(1, "PAUSED").await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "INVALID_TRANSITION"));
    assert_eq!(refused.members()["allowed"], json!(["SCHEDULED", "ACTIVE", "CANCELLED"]));
    assert_eq!(code(shop.change_status(1, "SCHEDULED").await), "START_MISSING");
    for (to, expected) in [
        ("ACTIVE", None),
        ("PAUSED", Some(RejectReason::Paused)),
        ("ACTIVE", None),
        ("ENDED", Some(RejectReason::Expired)),
    ] {
        assert_eq!(shop.change_status(1, to).await.unwrap()["status"], to);
        assert_eq!(reason(&shop, 1).await, expected);
    }
    assert_eq!(shop.change_status(1, "ACTIVE").await.unwrap_err().members()["allowed"], json!([]));
    assert_eq!(
        path(&shop, 1).await,
        "DRAFT/CREATED ACTIVE/REQUESTED PAUSED/REQUESTED ACTIVE/REQUESTED ENDED/REQUESTED"
    );
    let kinds: Vec<_> = shop.campaign_events().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["CAMPAIGN_STARTED", "CAMPAIGN_PAUSED", "CAMPAIGN_STARTED", "CAMPAIGN_ENDED"]);
    shop.verify();
}

#[tokio::test]
async fn a_campaign_applies_by_the_clock_before_its_row_is_updated() {
    let shop = Shop::open();
    let id = shop.create(json!({"startsAt": "2026-11-23T13:00:00Z", "endsAt": "2026-11-23T15:00:00Z"})).await;
    assert_eq!(reason(&shop, id).await, Some(RejectReason::NotStarted));
    shop.change_status(id, "SCHEDULED").await.unwrap();
    shop.node.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!((reason(&shop, id).await, shop.status(id).await.as_str()), (None, "SCHEDULED"));
    shop.pass_hours(0).await;
    assert_eq!(shop.status(id).await, "ACTIVE");
    shop.node.clock.advance(std::time::Duration::from_secs(7200));
    assert_eq!((reason(&shop, id).await, shop.status(id).await.as_str()), (Some(RejectReason::Expired), "ACTIVE"));
    shop.pass_hours(0).await;
    assert_eq!(shop.status(id).await, "ENDED");
    assert_eq!(path(&shop, id).await, "DRAFT/CREATED SCHEDULED/REQUESTED ACTIVE/SCHEDULE ENDED/SCHEDULE");
    shop.verify();
}

#[tokio::test]
async fn missed_transitions_are_made_in_the_order_of_their_times() {
    let shop = Shop::open();
    let whole = shop.create(json!({"startsAt": "2026-11-23T13:00:00Z", "endsAt": "2026-11-23T16:00:00Z"})).await;
    let open = shop.create(json!({"startsAt": "2026-11-23T14:00:00Z"})).await;
    let running = shop.create(json!({"endsAt": "2026-11-23T15:00:00Z"})).await;
    for id in [whole, open] {
        shop.change_status(id, "SCHEDULED").await.unwrap();
    }
    shop.change_status(running, "ACTIVE").await.unwrap();
    shop.pass_hours(48).await;
    let events: Vec<_> = shop.campaign_events().await.into_iter().skip(1).collect();
    let expected = [
        ("CAMPAIGN_STARTED", whole),
        ("CAMPAIGN_STARTED", open),
        ("CAMPAIGN_ENDED", running),
        ("CAMPAIGN_ENDED", whole),
    ];
    assert_eq!(events, expected.map(|(kind, id)| (kind.to_owned(), id)));
    let page = shop.ask::<ListHistory>(json!({ "id": whole })).await.unwrap();
    assert_eq!(page["items"][2]["dueAt"], "2026-11-23T13:00:00.000Z");
    assert_eq!(page["items"][2]["at"], "2026-11-25T12:00:00.000Z");
    shop.verify();
}

#[tokio::test]
async fn early_activation_starts_immediately_and_late_activation_is_refused() {
    let shop = Shop::open();
    let id = shop.create(json!({"startsAt": "2026-11-30T00:00:00Z", "endsAt": "2026-12-01T00:00:00Z"})).await;
    shop.change_status(id, "SCHEDULED").await.unwrap();
    assert_eq!(shop.change_status(id, "ACTIVE").await.unwrap()["startsAt"], "2026-11-23T12:00:00.000Z");
    let moved = shop.ask::<UpdateCampaign>(json!({"id": id, "startsAt": "2026-11-24T00:00:00Z"})).await;
    assert_eq!(code(moved), "CAMPAIGN_STARTED");
    shop.change_status(id, "PAUSED").await.unwrap();
    shop.pass_hours(24 * 10).await;
    assert_eq!(shop.status(id).await, "PAUSED", "a paused campaign does not change by itself");
    assert_eq!(code(shop.change_status(id, "ACTIVE").await), "CAMPAIGN_OVER");
    shop.change_status(id, "CANCELLED").await.unwrap();
    let closed = shop.ask::<UpdateCampaign>(json!({"id": id, "endsAt": null})).await;
    assert_eq!(code(closed), "CAMPAIGN_CLOSED");
    shop.ask::<UpdateCampaign>(json!({"id": id, "name": "Gone", "description": "It was fine."})).await.unwrap();
    assert_eq!(code(shop.ask::<DeleteCampaign>(json!({ "id": id })).await), "CAMPAIGN_KEPT");
    shop.verify();
}

#[tokio::test]
async fn a_campaign_applies_only_in_its_scheduled_hours() {
    let shop = Shop::open();
    let schedule = json!({"days": ["MON"], "from": "13:00", "to": "14:00"});
    let id = shop.create(json!({ "schedule": schedule })).await;
    shop.change_status(id, "ACTIVE").await.unwrap();
    for expected in [Some(RejectReason::NotStarted), None, Some(RejectReason::NotStarted)] {
        assert_eq!(reason(&shop, id).await, expected);
        shop.pass_hours(1).await;
    }
    let all_day = shop.ask::<UpdateCampaign>(json!({"id": id, "schedule": null})).await.unwrap();
    assert!(all_day["schedule"].is_null());
    assert_eq!(reason(&shop, id).await, None);
}

#[tokio::test]
async fn faults_have_pointers() {
    let shop = Shop::open();
    let cases: [(Value, &[&str]); 8] = [
        (json!({"name": "", "budget": "1.001"}), &["/name", "/budget"]),
        (json!({"name": "A", "budget": "0"}), &["/budget"]),
        (json!({"name": "A", "timezone": "Nowhere"}), &["/timezone"]),
        (json!({"name": "A", "startsAt": "2026-12-02T00:00:00Z", "endsAt": "2026-12-01T00:00:00Z"}), &["/endsAt"]),
        (json!({"name": "A", "endsAt": "2026-11-23T12:00:00Z"}), &["/endsAt"]),
        (json!({"name": "A", "endsAt": "2026-11-26T00:00:00Z", "schedule": {"days": ["SAT"]}}), &["/schedule"]),
        (json!({"name": "A", "schedule": {"from": "25:00"}}), &["/schedule/from"]),
        (json!({"name": "A", "audience": ["VIP"]}), &["/audience/0"]),
    ];
    for (body, expected) in cases {
        assert_eq!(pointers(shop.ask::<CreateCampaign>(body.clone()).await), expected, "{body}");
    }
    assert_eq!(shop.change_status(9, "ACTIVE").await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn campaigns_are_listed_versioned_and_deleted() {
    let shop = Shop::open();
    for name in ["A", "B", "C"] {
        shop.create(json!({ "name": name })).await;
    }
    shop.change_status(2, "ACTIVE").await.unwrap();
    let names = async |query: Value| {
        let page = shop.ask::<ListCampaigns>(query).await.unwrap();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert_eq!((names(json!({})).await.as_str(), names(json!({"status": "DRAFT"})).await.as_str()), ("CBA", "CA"));
    let mut stale = shop.staff();
    stale.if_match = Some(7.into());
    let refused = shop.ask_as::<UpdateCampaign>(stale, json!({"id": 1, "name": "Z"})).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Precondition);
    shop.ask::<DeleteCampaign>(json!({"id": 1})).await.unwrap();
    assert_eq!(shop.ask::<GetCampaign>(json!({"id": 1})).await.unwrap_err().kind(), Kind::NotFound);
    shop.verify();
}
