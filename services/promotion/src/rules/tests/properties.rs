//! Properties that hold for every cart and all promotions.

use std::sync::Arc;

use promox_contract::ids::PromotionId;
use promox_contract::promotion::{Customer, Evaluation};
use promox_kernel::{Amount, Currency};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::examples::{check_sums, promotion};
use crate::rules::{
    Allowance, Cart, Detail, EvaluationContext, GiftStock, Line, LineInput, Rule, RuleSet, evaluate, to_amount,
};

fn pence(minor: i64) -> Amount {
    to_amount(minor, Currency::GBP)
}

/// Lines whose prices all differ, so that ties can only come from rounding.
fn lines() -> impl Strategy<Value = Vec<LineInput>> {
    let line = (1_u32..9, 1_i64..5_000, 0_i64..3, any::<bool>(), 0_i64..10);
    prop::collection::vec(line, 1..8).prop_map(|lines| {
        let input = |(i, (quantity, price, category, discountable, floor)): (i64, (u32, i64, i64, bool, i64))| {
            let price = price * 10 + i;
            LineInput {
                sku: format!("S{i}").parse().unwrap(),
                former_skus: Vec::new(),
                product_id: Some(i + 1),
                category_ids: vec![category],
                attributes: std::collections::BTreeMap::new(),
                quantity,
                list_price: pence(price),
                unit_price: pence(price),
                floor_price: (floor < 3).then(|| pence(price * floor / 3)),
                discountable: discountable || i % 3 != 0,
                flash_sale_id: None,
            }
        };
        (0..).zip(lines).map(input).collect()
    })
}

fn items() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        (0_i64..3).prop_map(|category| json!({"categories": [category]})),
        (0_i64..8).prop_map(|i| json!({"skus": [format!("s{i}")]})),
        (0_i64..400).prop_map(|price| json!({"minPrice": pence(price * 100)})),
        (0_i64..3).prop_map(|category| json!({"exclude": {"categories": [category]}})),
    ]
}

/// Actions whose result does not depend on the order of lines.
fn order_independent() -> impl Strategy<Value = Value> {
    let percent = || (1_i64..=100).prop_map(|percent| percent.to_string());
    let scope = || prop_oneof![Just("ORDER"), Just("ITEMS")];
    prop_oneof![
        (percent(), scope(), items()).prop_map(|(value, scope, items)| {
            json!({"type": "PERCENT_OFF", "value": value, "scope": scope, "items": items})
        }),
        (1_i64..20_000, scope(), items()).prop_map(|(value, scope, items)| {
            json!({"type": "AMOUNT_OFF", "value": pence(value), "scope": scope, "items": items})
        }),
        (0_i64..20_000, scope(), items()).prop_map(|(value, scope, items)| {
            json!({"type": "FIXED_PRICE", "value": pence(value), "scope": scope, "items": items})
        }),
        (items(), 1_u32..4, items(), 1_u32..3, percent()).prop_map(|(buy, b, get, g, percent)| {
            let (buy, get) =
                (json!({"items": buy, "quantity": b}), json!({"items": get, "quantity": g, "percentOff": percent}));
            json!({"type": "BUY_X_GET_Y", "buy": buy, "get": get})
        }),
        (2_u32..5, items(), percent()).prop_map(|(every, items, percent)| {
            json!({"type": "EVERY_NTH", "every": every, "items": items, "percentOff": percent})
        }),
        (items(), 1_u32..3, items(), 1_u32..3, 0_i64..20_000).prop_map(|(a, n, b, m, price)| {
            let parts = json!([{"items": a, "quantity": n}, {"items": b, "quantity": m}]);
            json!({"type": "BUNDLE_PRICE", "parts": parts, "price": pence(price)})
        }),
        (items(), percent())
            .prop_map(|(items, percent)| json!({"type": "CHEAPEST", "items": items, "percentOff": percent})),
        (1_u32..5, percent(), items(), scope()).prop_map(|(from, percent, items, scope)| {
            let tiers = json!([{"from": from, "percentOff": percent}]);
            json!({"type": "TIERED", "basis": "LINE_QUANTITY", "scope": scope, "items": items, "tiers": tiers})
        }),
        Just(json!({"type": "FREE_SHIPPING"})),
        Just(json!({"type": "GIFT", "sku": "G", "quantity": 1})),
        Just(json!({"type": "POINTS_MULTIPLIER", "value": "2"})),
    ]
}

fn action() -> impl Strategy<Value = Value> {
    let pack = (1_u32..5, items(), 0_i64..20_000)
        .prop_map(|(size, items, price)| json!({"type": "PACK", "size": size, "items": items, "price": pence(price)}));
    prop_oneof![8 => order_independent(), 1 => pack]
}

fn promotions() -> impl Strategy<Value = Vec<Value>> {
    let stacking = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"mode": "EXCLUSIVE"})),
        1 => Just(json!({"group": "g"})),
    ];
    let when = prop_oneof![
        3 => Just(Value::Null),
        1 => (0_i64..40_000).prop_map(|least| json!({"field": "cart.subtotal", "op": "GTE", "value": pence(least)})),
        1 => (items(), 1_i64..4).prop_map(|(items, least)| {
            json!({"field": "items.quantity", "op": "GTE", "value": least, "items": items})
        }),
    ];
    let limits = prop_oneof![
        3 => Just(Value::Null),
        1 => (1_i64..10_000).prop_map(|budget| json!({"budget": pence(budget), "whenShort": "GIVE_REST"})),
        1 => (1_i64..10_000).prop_map(|budget| json!({"budget": pence(budget)})),
    ];
    let one = (prop::collection::vec(action(), 1..3), stacking, when, limits, 0_i32..3);
    let document = |(actions, stacking, when, limits, priority)| json!({"actions": actions, "stacking": stacking, "when": when, "limits": limits, "priority": priority});
    prop::collection::vec(one.prop_map(document), 1..7)
}

fn cart(lines: &[LineInput]) -> Cart {
    let lines = lines.iter().map(|line| Line::new(line.clone(), Currency::GBP).unwrap()).collect();
    Cart::new(Currency::GBP, lines, pence(499)).unwrap()
}

fn rule(id: i64, document: &Value) -> Arc<Rule> {
    Arc::new(Rule::compile(PromotionId(id), &promotion(document.clone()), Currency::GBP, "").unwrap())
}

fn set(documents: &[Value]) -> RuleSet {
    RuleSet::new((1..).zip(documents).map(|(id, document)| rule(id, document)))
}

fn context(cap: Option<i64>) -> EvaluationContext {
    let gift = GiftStock { sku: "G".parse().unwrap(), price: pence(250), available: 1 };
    EvaluationContext {
        customer: Customer::default(),
        gifts: [("G".parse().unwrap(), gift)].into(),
        max_discount_percent: cap.map(|cap| Amount(Decimal::from(cap))),
        ..EvaluationContext::default()
    }
}

fn assert_same(a: &Evaluation, b: &Evaluation) -> Result<(), TestCaseError> {
    prop_assert_eq!(&a.line_discounts, &b.line_discounts);
    prop_assert_eq!(&a.uses, &b.uses);
    prop_assert_eq!(&a.gifts, &b.gifts);
    prop_assert_eq!(a.shipping_discount, b.shipping_discount);
    Ok(())
}

proptest! {
    #[test]
    fn sums_agree_and_bounds_hold(lines in lines(), promotions in promotions(), cap in prop::option::of(1_i64..100)) {
        let (cart, set, it) = (cart(&lines), set(&promotions), context(cap));
        let answer = evaluate(&set, &cart, &it, &[], Detail::Named);
        check_sums(&cart, &answer);
        let mut goods = Amount::ZERO;
        for (line, discounts) in lines.iter().zip(&answer.line_discounts) {
            let off: Amount = discounts.iter().map(|discount| discount.amount).sum();
            let cost = line.unit_price.times(i64::from(line.quantity)).unwrap();
            let floor = line.floor_price.unwrap_or_default().times(i64::from(line.quantity)).unwrap();
            prop_assert!(cost - off >= floor, "{} off {cost} with a floor of {floor}", off);
            prop_assert!(line.discountable || off.is_zero());
            goods += off;
        }
        if let Some(cap) = cap {
            let all: Amount = lines.iter().map(|line| line.unit_price.times(i64::from(line.quantity)).unwrap()).sum();
            prop_assert!(goods.0 * Decimal::ONE_HUNDRED <= all.0 * Decimal::from(cap));
        }
        for used in &answer.uses {
            let document = &promotions[usize::try_from(used.promotion_id.0 - 1).unwrap()];
            if let Some(budget) = document["limits"]["budget"].as_str() {
                prop_assert!(used.amount <= budget.parse().unwrap());
            }
        }
    }

    #[test]
    fn equal_inputs_give_equal_results(lines in lines(), promotions in promotions()) {
        let (cart, it) = (cart(&lines), context(None));
        let first = evaluate(&set(&promotions), &cart, &it, &[], Detail::Named);
        let again = evaluate(&set(&promotions), &cart, &it, &[], Detail::Named);
        assert_same(&first, &again)?;
    }

    #[test]
    fn the_index_misses_no_promotion(lines in lines(), promotions in promotions()) {
        let (cart, set, it) = (cart(&lines), set(&promotions), context(None));
        assert_same(&evaluate(&set, &cart, &it, &[], Detail::Named), &evaluate(&set, &cart, &it, &[], Detail::Everything))?;
    }

    #[test]
    fn a_promotion_that_does_not_apply_changes_nothing(lines in lines(), promotions in promotions(), action in action()) {
        let (cart, it) = (cart(&lines), context(None));
        let never = json!({"field": "cart.quantity", "op": "GTE", "value": 1_000_000});
        for when in [never, json!({"field": "channel", "op": "EQ", "value": "POS"})] {
            let mut more = promotions.clone();
            more.push(json!({"actions": [action], "when": when, "priority": 1, "stacking": {"group": "g"}}));
            let (with, without) = (set(&more), set(&promotions));
            assert_same(&evaluate(&with, &cart, &it, &[], Detail::Named), &evaluate(&without, &cart, &it, &[], Detail::Named))?;
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_order_of_lines(lines in lines(), action in order_independent(), rotation in 0_usize..8) {
        let set = set(&[json!({"actions": [action]})]);
        let context = context(None);
        let mut reordered = lines.clone();
        reordered.rotate_left(rotation % lines.len());
        reordered.reverse();
        let sum = |lines: &[LineInput]| {
            let answer = evaluate(&set, &cart(lines), &context, &[], Detail::Named);
            answer.uses.iter().map(|used| used.amount).sum::<Amount>()
        };
        prop_assert_eq!(sum(&lines), sum(&reordered));
    }

    #[test]
    fn a_budget_is_never_exceeded(lines in lines(), action in action(), left in 0_i64..5_000, rest: bool) {
        let when_short = if rest { "GIVE_REST" } else { "REFUSE" };
        let set = set(&[json!({"actions": [action], "limits": {"budget": "1000000.00", "whenShort": when_short}})]);
        let mut context = context(None);
        let allowance = Allowance { exhausted: None, budget_left: Some(pence(left)) };
        context.allowances = [(PromotionId(1), allowance)].into();
        let answer = evaluate(&set, &cart(&lines), &context, &[], Detail::Named);
        prop_assert!(answer.uses.iter().all(|used| used.amount <= pence(left)));
    }
}
