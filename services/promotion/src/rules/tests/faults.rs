//! Documents that do not type-check are refused with pointers to their faults.

use promox_contract::ids::PromotionId;
use promox_kernel::Currency;
use serde_json::{Value, json};

use super::examples::promotion;
use crate::rules::{ActionSpec, ActionType, Rule};

fn pointers(document: Value) -> Vec<String> {
    let promotion = promotion(document);
    match Rule::compile(PromotionId(1), &promotion, Currency::GBP, "") {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
    }
}

fn with_action(action: Value) -> Vec<String> {
    pointers(json!({"actions": [action]}))
}

fn with_when(when: Value) -> Vec<String> {
    pointers(json!({"actions": [{"type": "PERCENT_OFF", "value": "10"}], "when": when}))
}

#[test]
fn actions_are_checked() {
    for (action, want) in [
        (json!({"type": "PERCENT_OFF", "value": "10"}), &[][..]),
        (json!({"type": "PERCENT_OFF", "value": "100.0001"}), &["/actions/0/value"]),
        (json!({"type": "PERCENT_OFF", "value": "120"}), &["/actions/0/value"]),
        (json!({"type": "PERCENT_OFF", "value": "0"}), &["/actions/0/value"]),
        (json!({"type": "PERCENT_OFF", "value": "1.00001"}), &["/actions/0/value"]),
        (json!({"type": "PERCENT_OFF"}), &["/actions/0/value"]),
        (json!({"type": "PERCENT_OFF", "value": "10", "sku": "A"}), &["/actions/0/sku"]),
        (json!({"type": "PERCENT_OFF", "value": "10", "scope": "SHIPPING", "items": {}}), &["/actions/0/items"]),
        (json!({"type": "AMOUNT_OFF", "value": "1.005"}), &["/actions/0/value"]),
        (json!({"type": "AMOUNT_OFF", "value": "0.00"}), &["/actions/0/value"]),
        (json!({"type": "AMOUNT_OFF", "value": "-1"}), &["/actions/0/value"]),
        (json!({"type": "AMOUNT_OFF", "value": "1", "scope": "SHIPPING", "per": "UNIT"}), &["/actions/0/per"]),
        (json!({"type": "AMOUNT_OFF", "value": "1", "maxUnitsPerLine": 0}), &["/actions/0/maxUnitsPerLine"]),
        (json!({"type": "FIXED_PRICE", "value": "0.00"}), &[]),
        (json!({"type": "FIXED_PRICE", "value": "1", "scope": "SHIPPING"}), &["/actions/0/scope"]),
        (json!({"type": "EVERY_NTH", "every": 1, "percentOff": "50"}), &["/actions/0/every"]),
        (json!({"type": "EVERY_NTH", "percentOff": "50"}), &["/actions/0/every"]),
        (json!({"type": "PACK", "size": 3}), &["/actions/0"]),
        (json!({"type": "PACK", "size": 3, "price": "1", "percentOff": "5"}), &["/actions/0"]),
        (json!({"type": "BUNDLE_PRICE", "parts": [], "price": "1"}), &["/actions/0/parts"]),
        (json!({"type": "BUNDLE_PRICE", "parts": [{"quantity": 0}], "price": "1"}), &["/actions/0/parts/0/quantity"]),
        (json!({"type": "BUY_X_GET_Y", "buy": {"quantity": 1}}), &["/actions/0/get"]),
        (
            json!({"type": "BUY_X_GET_Y", "buy": {"quantity": 1}, "get": {"quantity": 1}}),
            &["/actions/0/get/percentOff"],
        ),
        (
            json!({"type": "BUY_X_GET_Y", "buy": {"quantity": 1, "percentOff": "5"}, "get": {"quantity": 1, "percentOff": "5"}}),
            &["/actions/0/buy/percentOff"],
        ),
        (json!({"type": "CHEAPEST"}), &["/actions/0"]),
        (json!({"type": "CHEAPEST", "price": "1"}), &["/actions/0/price", "/actions/0"]),
        (json!({"type": "GIFT", "quantity": 1}), &["/actions/0/sku"]),
        (json!({"type": "GIFT", "sku": "A", "quantity": 0}), &["/actions/0/quantity"]),
        (json!({"type": "POINTS_MULTIPLIER", "value": "0"}), &["/actions/0/value"]),
        (json!({"type": "FREE_SHIPPING", "maxDiscount": "0"}), &["/actions/0/maxDiscount"]),
        (json!({"type": "PERCENT_OFF", "value": "5", "items": {"skus": []}}), &["/actions/0/items/skus"]),
        (
            json!({"type": "PERCENT_OFF", "value": "5", "items": {"minPrice": "5", "maxPrice": "4"}}),
            &["/actions/0/items/maxPrice"],
        ),
        (json!({"type": "PERCENT_OFF", "value": "5", "items": {"exclude": {}}}), &["/actions/0/items/exclude"]),
        (
            json!({"type": "PERCENT_OFF", "value": "5", "items": {"exclude": {"skus": ["A"], "exclude": {"skus": ["B"]}}}}),
            &["/actions/0/items/exclude/exclude"],
        ),
    ] {
        assert_eq!(with_action(action.clone()), want, "{action}");
    }
}

#[test]
fn faults_of_all_actions_are_reported_at_once() {
    let document = json!({"actions": [
        {"type": "PERCENT_OFF", "sku": "A", "size": 3, "value": "101"},
        {"type": "GIFT", "scope": "ORDER", "quantity": 0},
        {"quantity": 2, "type": "FREE_SHIPPING"},
    ]});
    let faults = Rule::compile(PromotionId(1), &promotion(document), Currency::GBP, "").unwrap_err();
    let mut faults: Vec<_> =
        faults.iter().map(|fault| (fault.pointer.as_str(), &*fault.code, fault.detail.as_str())).collect();
    faults.sort_unstable();
    let percentage = "must be a percentage above 0 and at most 100, with at most 4 decimals";
    assert_eq!(
        faults,
        [
            ("/actions/0/size", "INVALID_VALUE", "PERCENT_OFF has no member size"),
            ("/actions/0/sku", "INVALID_VALUE", "PERCENT_OFF has no member sku"),
            ("/actions/0/value", "INVALID_VALUE", percentage),
            ("/actions/1/quantity", "INVALID_VALUE", "must be a whole number from 1 to 9999"),
            ("/actions/1/scope", "INVALID_VALUE", "GIFT has no member scope"),
            ("/actions/1/sku", "MISSING", "the SKU of the gift"),
            ("/actions/2/quantity", "INVALID_VALUE", "FREE_SHIPPING has no member quantity"),
        ]
    );
}

#[test]
fn tiers_must_rise() {
    let tiered = |tiers: Value| with_action(json!({"type": "TIERED", "basis": "QUANTITY", "tiers": tiers}));
    for (tiers, want) in [
        (json!([{"from": 1, "percentOff": "5"}, {"from": 5, "percentOff": "5"}]), &[][..]),
        (json!([{"from": 5, "percentOff": "5"}, {"from": 5, "percentOff": "10"}]), &["/actions/0/tiers/1/from"]),
        (json!([{"from": 9, "percentOff": "5"}, {"from": 5, "percentOff": "10"}]), &["/actions/0/tiers/1/from"]),
        (json!([{"from": 1, "percentOff": "10"}, {"from": 5, "percentOff": "5"}]), &["/actions/0/tiers/1"]),
        (json!([{"from": 1, "amountOff": "10"}, {"from": 5, "amountOff": "5"}]), &["/actions/0/tiers/1"]),
        (json!([{"from": 1, "unitPrice": "5"}, {"from": 5, "unitPrice": "10"}]), &["/actions/0/tiers/1"]),
        (json!([{"from": 1}]), &["/actions/0/tiers/0"]),
        (json!([{"from": "1.5", "percentOff": "5"}]), &["/actions/0/tiers/0/from"]),
        (json!([]), &["/actions/0/tiers"]),
    ] {
        assert_eq!(tiered(tiers.clone()), want, "{tiers}");
    }
    let no_basis = json!({"type": "TIERED", "tiers": [{"from": 1, "percentOff": "5"}]});
    assert_eq!(with_action(no_basis), ["/actions/0/basis"]);
}

#[test]
fn conditions_are_checked() {
    for (when, want) in [
        (json!({"field": "cart.subtotal", "op": "GTE", "value": "50.00"}), &[][..]),
        (json!({"field": "cart.total", "op": "GTE", "value": "50.00"}), &["/when/field"]),
        (json!({"field": "cart.subtotal", "op": "STARTS_WITH", "value": "5"}), &["/when/op"]),
        (json!({"field": "cart.subtotal", "op": "GTE", "value": "much"}), &["/when/value"]),
        (json!({"field": "cart.subtotal", "op": "GTE", "value": "1.005"}), &["/when/value"]),
        (json!({"field": "cart.subtotal", "op": "GTE"}), &["/when/value"]),
        (json!({"field": "cart.quantity", "op": "GTE", "value": 1.5}), &["/when/value"]),
        (json!({"field": "cart.quantity", "op": "IN", "value": 1}), &["/when/value"]),
        (json!({"field": "cart.quantity", "op": "IN", "value": []}), &["/when/value"]),
        (json!({"field": "cart.quantity", "op": "IN", "value": [1, "x"]}), &["/when/value/1"]),
        (json!({"field": "cart.quantity", "op": "EQ", "value": 1, "items": {}}), &["/when/items"]),
        (json!({"field": "customer.segments", "op": "EQ", "value": "VIP"}), &["/when/op"]),
        (json!({"field": "customer.isGuest", "op": "EQ", "value": "yes"}), &["/when/value"]),
        (json!({"field": "customer.tier", "op": "GT", "value": "GOLD"}), &["/when/op"]),
        (json!({"field": "time.weekday", "op": "IN", "value": ["MON", "FUNDAY"]}), &["/when/value/1"]),
        (json!({"field": "time.hour", "op": "EQ", "value": 24}), &["/when/value"]),
        (json!({"field": "customer.attributes.", "op": "EQ", "value": "x"}), &["/when/field"]),
        (json!({"any": []}), &["/when/any"]),
        (json!({}), &["/when"]),
        (json!({"all": [], "any": []}), &["/when"]),
        (json!({"all": [{"not": {"field": "nope", "op": "EQ", "value": 1}}]}), &["/when/all/0/not/field"]),
        (
            json!({"field": "items.quantity", "op": "GTE", "value": 1, "items": {"categories": []}}),
            &["/when/items/categories"],
        ),
    ] {
        assert_eq!(with_when(when.clone()), want, "{when}");
    }
}

#[test]
fn conditions_nest_at_most_eight_levels() {
    let nested = |depth: usize| {
        let leaf = json!({"field": "cart.lines", "op": "GTE", "value": 1});
        (0..depth).fold(leaf, |inner, _| json!({"all": [inner]}))
    };
    assert!(with_when(nested(8)).is_empty());
    assert_eq!(with_when(nested(9)), [format!("/when{}", "/all/0".repeat(8))]);
}

#[test]
fn other_members_are_checked() {
    let action = json!([{"type": "PERCENT_OFF", "value": "10"}]);
    for (members, want) in [
        (json!({"actions": []}), &["/actions"][..]),
        (json!({"actions": (0..9).map(|_| json!({"type": "FREE_SHIPPING"})).collect::<Vec<_>>()}), &["/actions"]),
        (json!({"name": " "}), &["/name"]),
        (json!({"code": "- _"}), &["/code"]),
        (json!({"code": "A\nB"}), &["/code"]),
        (json!({"priority": 2_000_000}), &["/priority"]),
        (json!({"timezone": "Mars/Olympus"}), &["/timezone"]),
        (json!({"stacking": {"mode": "EXCLUSIVE", "group": "g"}}), &["/stacking/group"]),
        (json!({"startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}), &["/endsAt"]),
        (json!({"schedule": {"days": []}}), &["/schedule/days"]),
        (json!({"schedule": {"days": ["FRI", "SUNDAY"]}}), &["/schedule/days/1"]),
        (json!({"schedule": {"from": "10:00", "to": "10:00"}}), &["/schedule/to"]),
        (json!({"schedule": {"from": "24:00"}}), &["/schedule/from", "/schedule/to"]),
        (json!({"schedule": {"from": "9:00"}}), &["/schedule/from"]),
        (json!({"schedule": {"to": "25:00"}}), &["/schedule/to"]),
        (json!({"limits": {"total": 0}}), &["/limits/total"]),
        (json!({"limits": {"perUser": 0}}), &["/limits/perUser"]),
        (json!({"limits": {"budget": "0.00"}}), &["/limits/budget"]),
        (json!({"limits": {"budget": "1.005"}}), &["/limits/budget"]),
        (json!({"limits": {"periods": [{"per": "USER", "period": "DAY", "count": 0}]}}), &["/limits/periods/0/count"]),
        (
            json!({"limits": {"periods": [{"per": "USER", "period": "DAY", "count": 2}, {"per": "USER", "period": "DAY", "count": 3}]}}),
            &["/limits/periods/1"],
        ),
        (json!({"stage": "CATALOG", "code": "X"}), &["/code"]),
        (json!({"stage": "CATALOG", "limits": {"total": 1}}), &["/limits"]),
        (json!({"stage": "CATALOG", "actions": [{"type": "FREE_SHIPPING"}]}), &["/actions/0/type"]),
        (
            json!({"stage": "CATALOG", "actions": [{"type": "PERCENT_OFF", "value": "5", "scope": "ORDER"}]}),
            &["/actions/0/scope"],
        ),
        (json!({"stage": "CATALOG", "when": {"field": "cart.subtotal", "op": "GTE", "value": "5"}}), &["/when/field"]),
    ] {
        let mut document = json!({"actions": action});
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(pointers(document), want, "{members}");
    }
}

#[test]
fn schedules_without_any_time_are_refused() {
    let refused = |starts: &str, ends: &str, schedule: Value, zone: &str| {
        let document = json!({
            "actions": [{"type": "FREE_SHIPPING"}], "startsAt": starts, "endsAt": ends, "schedule": schedule, "timezone": zone,
        });
        pointers(document) == ["/schedule"]
    };
    let friday = || json!({"days": ["FRI"]});
    // Monday to Tuesday has no Friday; Monday to Friday has.
    assert!(refused("2026-11-23T00:00:00Z", "2026-11-24T23:00:00Z", friday(), "UTC"));
    assert!(!refused("2026-11-23T00:00:00Z", "2026-11-27T01:00:00Z", friday(), "UTC"));
    assert!(refused("2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z", friday(), "UTC"));
    // Friday has begun in Auckland when it is Thursday noon in UTC.
    assert!(!refused("2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z", friday(), "Pacific/Auckland"));
    // 01:30 to 02:00 does not exist in London on the day the clocks go forward.
    let gap = || json!({"from": "01:15", "to": "01:45"});
    assert!(refused("2027-03-28T00:00:00Z", "2027-03-28T22:00:00Z", gap(), "Europe/London"));
    // A night that began on Friday reaches into Saturday.
    let night = || json!({"days": ["FRI"], "from": "22:00", "to": "02:00"});
    assert!(!refused("2026-11-28T00:00:00Z", "2026-11-28T12:00:00Z", night(), "UTC"));
    assert!(refused("2026-11-28T02:00:00Z", "2026-11-28T12:00:00Z", night(), "UTC"));
}

#[test]
fn each_type_of_action_is_described_with_its_members() {
    let schema = serde_json::to_value(schemars::schema_for!(ActionSpec)).unwrap();
    let types = schema["oneOf"].as_array().unwrap();
    assert_eq!(types.len(), ActionType::ALL.len());
    for kind in ActionType::ALL {
        let reference = schema["discriminator"]["mapping"][kind.as_str()].as_str().unwrap();
        assert!(types.contains(&json!({"$ref": reference})), "{kind}");
        let described = schema.pointer(reference.trim_start_matches('#')).unwrap();
        assert_eq!(described["properties"]["type"]["const"], kind.as_str());
        for name in described["properties"].as_object().unwrap().keys().filter(|name| *name != "type") {
            assert!(described["properties"][name].get("description").is_some(), "{kind} {name}");
        }
    }
    let gift = &schema["$defs"]["GiftAction"];
    assert_eq!(gift["required"], json!(["type", "sku", "quantity"]));
    assert_eq!(gift["properties"].as_object().unwrap().len(), 3);
}
