//! Hours of the week and periods of limits, in the promotion's time zone and across clock changes.

use promox_contract::buyer::{Person, PersonKey};
use promox_contract::ids::PromotionId;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Currency, Timestamp};
use serde_json::{Value, json};

use super::examples::promotion;
use crate::rules::{CountedBuyer, Counting, EvaluationContext, PersonLimit, Rule};

fn rule(members: Value) -> Rule {
    let mut document = json!({"actions": [{"type": "FREE_SHIPPING"}]});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Rule::compile(PromotionId(1), &promotion(document), Currency::GBP, "").unwrap()
}

fn applies(rule: &Rule, at: &str) -> bool {
    rule.applies_now(&EvaluationContext { now: at.parse().unwrap(), ..EvaluationContext::default() })
}

#[test]
fn hours_follow_the_time_zone_and_its_clock_changes() {
    let evening =
        |zone: &str| rule(json!({"timezone": zone, "schedule": {"days": ["SUN"], "from": "17:00", "to": "22:00"}}));
    let (london, utc) = (evening("Europe/London"), evening("UTC"));
    for (at, in_london, in_utc) in [
        // The last Sunday of October 2026: London is back on UTC.
        ("2026-10-25T17:00:00Z", true, true),
        ("2026-10-25T16:59:59Z", false, false),
        ("2026-10-25T21:59:59Z", true, true),
        ("2026-10-25T22:00:00Z", false, false),
        // A Sunday in summer: London is an hour ahead of UTC.
        ("2026-07-05T16:00:00Z", true, false),
        ("2026-07-05T21:30:00Z", false, true),
        // A Monday.
        ("2026-10-26T18:00:00Z", false, false),
    ] {
        assert_eq!((applies(&london, at), applies(&utc, at)), (in_london, in_utc), "{at}");
    }
}

#[test]
fn hours_after_midnight_belong_to_the_day_before() {
    let night = rule(json!({"schedule": {"days": ["FRI"], "from": "22:00", "to": "02:00"}}));
    for (at, want) in [
        ("2026-11-27T21:59:00Z", false),
        ("2026-11-27T22:00:00Z", true),
        ("2026-11-28T01:59:00Z", true),
        ("2026-11-28T02:00:00Z", false),
        ("2026-11-27T01:00:00Z", false),
        ("2026-11-28T23:00:00Z", false),
    ] {
        assert_eq!(applies(&night, at), want, "{at}");
    }
}

#[test]
fn an_hour_repeated_by_a_clock_change_is_open_twice() {
    let rule = rule(json!({"timezone": "Europe/London", "schedule": {"from": "01:00", "to": "02:00"}}));
    assert!(applies(&rule, "2026-10-25T00:30:00Z") && applies(&rule, "2026-10-25T01:30:00Z"));
    assert!(!applies(&rule, "2026-10-25T02:30:00Z"));
}

#[test]
fn periods_end_in_the_promotions_time_zone() {
    let limits = json!([
        {"per": "USER", "period": "DAY", "count": 1}, {"per": "EMAIL", "period": "WEEK", "count": 2},
        {"per": "ADDRESS", "period": "MONTH", "count": 3}, {"per": "TOTAL", "period": "DAY", "count": 4},
    ]);
    let rule = rule(json!({"timezone": "America/New_York", "limits": {"perUser": 5, "periods": limits}}));
    let keys = vec![PersonKey { name: "user:7".into(), exact: None }];
    let person = Person { keys, ignore_plus_tags: false };
    let buyer = CountedBuyer { person, email: Some("E".into()), address: Some("H".into()) };
    // 03:00 UTC on Monday 2 November is Sunday evening in New York, where the clocks changed that morning.
    let now: Timestamp = "2026-11-02T03:00:00Z".parse().unwrap();
    let counting = rule.counting(&buyer, now);
    let counters: Vec<(String, Option<u32>, Option<String>)> = counting
        .counters
        .into_iter()
        .map(|counter| (counter.name, counter.most, counter.ends.map(|at| at.to_string())))
        .collect();
    let row = |name: &str, most: Option<u32>, ends: Option<&str>| (name.to_owned(), most, ends.map(str::to_owned));
    assert_eq!(
        counters,
        [
            row("total", None, None),
            row("WEEK:2026-10-26@America/New_York:EMAIL:email:E", Some(2), Some("2026-11-02T05:00:00.000Z")),
            row("MONTH:2026-11-01@America/New_York:ADDRESS:address:H", Some(3), Some("2026-12-01T05:00:00.000Z")),
            row("DAY:2026-11-01@America/New_York:TOTAL:total", Some(4), Some("2026-11-02T05:00:00.000Z")),
        ]
    );
    assert!(!counting.unchecked);
    let since = |text: &str| text.parse::<Timestamp>().unwrap();
    let in_total = PersonLimit { since: Timestamp::EPOCH, most: 5 };
    let today = PersonLimit { since: since("2026-11-01T04:00:00Z"), most: 1 };
    assert_eq!((counting.person, counting.person_ends), (vec![in_total, today], None));
    let Counting { counters, unchecked, person, .. } = rule.counting(&CountedBuyer::default(), now);
    assert!(unchecked && counters.len() == 2 && person.is_empty());
    assert_eq!(counters[1].reason, RejectReason::LimitReached);
}
