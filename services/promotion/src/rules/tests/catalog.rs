//! Catalog prices: rules found by index give the same prices as a walk over all rules.

use std::sync::Arc;

use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::promotion::{Customer, RejectReason};
use promox_kernel::{Amount, Currency, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::examples::promotion;
use crate::rules::catalog::prices::{is_affordable, price_after};
use crate::rules::evaluate::conditions::ConditionContext;
use crate::rules::evaluate::eligibility::check_eligibility;
use crate::rules::evaluate::state::State;
use crate::rules::{CampaignEligibility, Cart, EvaluationContext, Line, LineInput, Rule, RuleSet, to_amount};

fn pence(minor: i64) -> Amount {
    to_amount(minor, Currency::GBP)
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0_usize..6, 1_i64..60, 0_i64..4, 0_i64..3, 0_i64..8, 0_u32..8);
    let line = |(sku, price, product, category, floor, discountable): (usize, i64, i64, i64, i64, u32)| {
        let input = LineInput {
            sku: format!("S{sku}").parse().unwrap(),
            former_skus: Vec::new(),
            product_id: Some(product),
            category_ids: vec![category, category + 1],
            attributes: [("colour".to_owned(), format!("c{}", sku % 3))].into(),
            quantity: 1,
            list_price: pence(price * 100),
            unit_price: pence(price * 100),
            floor_price: (floor < 3).then(|| pence(price * 100 * floor / 3)),
            discountable: discountable > 0,
            flash_sale_id: None,
        };
        Line::new(input, Currency::GBP).unwrap()
    };
    prop::collection::vec(one.prop_map(line), 1..6)
}

fn items() -> impl Strategy<Value = Value> {
    let band = |(low, more): (i64, i64)| json!({"minPrice": pence(low * 100), "maxPrice": pence((low + more) * 100)});
    prop_oneof![
        1 => Just(json!({})),
        2 => (0_usize..6).prop_map(|sku| json!({"skus": [format!("s{sku}")]})),
        1 => (0_i64..4).prop_map(|id| json!({"productIds": [id]})),
        1 => (0_i64..5).prop_map(|id| json!({"categories": [id]})),
        1 => (0_usize..4).prop_map(|colour| json!({"attributes": {"colour": [format!("c{colour}"), "none"]}})),
        3 => (0_i64..50, 0_i64..20).prop_map(band),
        1 => (0_i64..5, (0_i64..50, 0_i64..20)).prop_map(move |(id, of)| json!({"exclude": {"categories": [id]}, "minPrice": band(of)["minPrice"]})),
    ]
}

fn action() -> impl Strategy<Value = Value> {
    let money = || (1_i64..3_000).prop_map(pence);
    prop_oneof![
        (1_i64..100, items())
            .prop_map(|(off, items)| json!({"type": "PERCENT_OFF", "value": off.to_string(), "items": items})),
        (money(), items()).prop_map(|(off, items)| json!({"type": "AMOUNT_OFF", "value": off, "items": items})),
        (money(), items()).prop_map(|(price, items)| json!({"type": "FIXED_PRICE", "value": price, "items": items})),
    ]
}

/// Rules with hours, dates, campaigns, groups and conditions.
pub(crate) fn catalog_rules(most: usize) -> impl Strategy<Value = Vec<Value>> {
    let stacking = prop_oneof![
        2 => Just(json!({"mode": "EXCLUSIVE"})),
        3 => Just(json!({"mode": "STACKABLE"})),
        1 => (0..2).prop_map(|group| json!({"mode": "STACKABLE", "group": format!("g{group}")})),
    ];
    let when = prop_oneof![
        4 => Just(Value::Null),
        1 => Just(json!({"field": "customer.segments", "op": "IN", "value": ["VIP"]})),
        1 => (0_i64..24).prop_map(|hour| json!({"field": "time.hour", "op": "GTE", "value": hour})),
        1 => Just(json!({"field": "channel", "op": "EQ", "value": "APP"})),
        1 => Just(json!({"not": {"field": "customer.isGuest", "op": "EQ", "value": true}})),
    ];
    let times = prop_oneof![
        3 => Just(json!({})),
        1 => (0_u32..20).prop_map(|day| json!({"startsAt": format!("2026-10-{:02}T08:15:00.5Z", day + 10)})),
        1 => (0_u32..20).prop_map(|day| json!({"endsAt": format!("2026-10-{:02}T23:00:00Z", day + 10)})),
        2 => (0_u32..23, 0_u32..24).prop_map(|(from, to)| {
            let to = if from == to { 24 } else { to };
            json!({"timezone": "Europe/London", "schedule": {"days": ["SUN", "MON", "WED"], "from": format!("{from:02}:10"), "to": format!("{to:02}:00")}})
        }),
    ];
    let campaign = prop_oneof![4 => Just(Value::Null), 1 => (1_i64..4).prop_map(Value::from)];
    let one = (prop::collection::vec(action(), 1..3), stacking, when, times, campaign, 0_i32..3);
    let document =
        |(actions, stacking, when, times, campaign, priority): (Vec<Value>, Value, Value, Value, Value, i32)| {
            let mut rule = json!({"stage": "CATALOG", "actions": actions, "stacking": stacking, "when": when,
            "campaignId": campaign, "priority": priority});
            rule.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            rule
        };
    prop::collection::vec(one.prop_map(document), 0..most)
}

/// Contexts with different campaigns, buyers and times.
pub(crate) fn context() -> impl Strategy<Value = EvaluationContext> {
    let eligibility = prop_oneof![
        Just(CampaignEligibility { refused: None, left: None }),
        Just(CampaignEligibility { refused: Some(RejectReason::Paused), left: None }),
        (0_i64..2_000).prop_map(|left| CampaignEligibility { refused: None, left: Some(pence(left)) }),
    ];
    let campaigns = prop::collection::vec(eligibility, 2);
    (campaigns, any::<bool>(), moment()).prop_map(|(campaigns, vip, now)| EvaluationContext {
        now,
        customer: Customer {
            is_guest: !vip,
            segments: vec!["VIP".to_owned(); usize::from(vip)],
            ..Customer::default()
        },
        campaigns: (1..).map(CampaignId).zip(campaigns).collect(),
        ..EvaluationContext::default()
    })
}

/// A time within the weeks in which rules start and end and the clocks change.
pub(crate) fn moment() -> impl Strategy<Value = Timestamp> {
    let start: Timestamp = "2026-10-08T00:00:00Z".parse().unwrap();
    (0_i64..26 * 24 * 60).prop_map(move |minute| Timestamp(start.0 + minute * 60_000_000))
}

/// The price of a unit by a walk over all rules.
fn walk(rules: &[Arc<Rule>], cart: &Cart, line: &Line, context: &EvaluationContext) -> i64 {
    if !line.discountable {
        return line.list;
    }
    let state = State::new(cart, context);
    let holds = |rule: &&Arc<Rule>| {
        check_eligibility(rule, context).is_ok()
            && (ConditionContext { rule, state: &state, context }).holds()
            && is_affordable(rule, cart, line, context)
    };
    let (alone, together): (Vec<&Arc<Rule>>, Vec<&Arc<Rule>>) =
        rules.iter().filter(holds).partition(|rule| rule.exclusive);
    let lowest = alone.into_iter().map(|rule| price_after(rule, line, line.list)).min().unwrap_or(line.list);
    let (mut price, mut done) = (line.list, Vec::new());
    for rule in &together {
        let own = price_after(rule, line, price);
        if own >= price || rule.group.as_ref().is_some_and(|group| done.contains(group)) {
            continue;
        }
        let members = together.iter().filter(|other| rule.group.is_some() && other.group == rule.group);
        price = members.map(|other| price_after(other, line, price)).min().unwrap_or(own);
        done.extend(rule.group.clone());
    }
    price.min(lowest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_index_gives_the_prices_of_a_walk_over_all_rules(lines in lines(), documents in catalog_rules(24), it in context(), app: bool) {
        let rule = |(id, document): (i64, &Value)| {
            Arc::new(Rule::compile(PromotionId(id), &promotion(document.clone()), Currency::GBP, "").unwrap())
        };
        let set = RuleSet::new((1..).zip(&documents).map(rule));
        let cart = Cart::of_catalog(Currency::GBP, lines, app.then(|| "APP".to_owned()));
        let want: Vec<i64> = cart.lines.iter().map(|line| walk(set.catalog(), &cart, line, &it)).collect();
        prop_assert_eq!(set.catalog_prices(&cart, &it), want);
    }

    #[test]
    fn nothing_changes_within_a_steady_period(documents in catalog_rules(3), it in context(), part in 0_i64..1_000) {
        for document in documents {
            let rule = Rule::compile(PromotionId(1), &promotion(document), Currency::GBP, "").unwrap();
            let (since, until) = rule.steady(it.now);
            prop_assert!(since <= it.now && it.now < until);
            let (first, end) = (since.0.max(0), until.0.min(it.now.0 * 2));
            let other = Timestamp(first + (end - 1 - first) / 1_000 * part);
            let cart = Cart::of_catalog(Currency::GBP, Vec::new(), None);
            let applies = |now: Timestamp| {
                let it = EvaluationContext { now, ..it.clone() };
                check_eligibility(&rule, &it).is_ok() && (ConditionContext { rule: &rule, state: &State::new(&cart, &it), context: &it }).holds()
            };
            prop_assert_eq!(applies(other), applies(it.now));
            prop_assert_eq!(rule.steady(other), (since, until), "the period is the same at every time within it");
        }
    }
}
