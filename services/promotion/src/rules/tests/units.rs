//! Each unit has a price of its own: compares the engine with a simple model of units, and splits, merges and moves the
//! lines of a SKU.

use std::sync::Arc;

use promox_contract::ids::{FlashSaleId, PromotionId};
use promox_kernel::{Amount, Currency};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::examples::promotion;
use super::model::Model;
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::state::State;
use crate::rules::{Cart, Detail, EvaluationContext, Line, LineInput, Rule, RuleSet, actions, evaluate, to_amount};

fn pence(minor: i64) -> Amount {
    to_amount(minor, Currency::GBP)
}

/// The units of one SKU in a cart.
#[derive(Clone, Debug)]
struct Goods {
    name: usize,
    price: i64,
    quantity: u32,
    category: i64,
    floor: i64,
    discountable: bool,
}

fn goods() -> impl Strategy<Value = Vec<Goods>> {
    // There are only a few common prices, so that ties occur.
    let price = prop_oneof![Just(1_000), Just(1_500), Just(333), 100_i64..5_000];
    let one = (price, 1_u32..7, 0_i64..3, 0_i64..12, 0_u32..10);
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let goods = |(name, (price, quantity, category, floor, discountable))| Goods {
            name,
            price,
            quantity,
            category,
            floor: if floor < 4 { price * floor / 4 } else { 0 },
            discountable: discountable > 0,
        };
        all.into_iter().enumerate().map(goods).collect()
    })
}

fn line(of: &Goods, quantity: u32, flash: bool) -> Line {
    let price = pence(if flash { of.price / 2 } else { of.price });
    let input = LineInput {
        sku: format!("S{}", of.name).parse().unwrap(),
        former_skus: Vec::new(),
        product_id: None,
        category_ids: vec![of.category],
        attributes: std::collections::BTreeMap::new(),
        quantity,
        list_price: price,
        unit_price: price,
        floor_price: Some(pence(of.floor)),
        discountable: of.discountable,
        flash_sale_id: flash.then_some(FlashSaleId(1)),
    };
    Line::new(input, Currency::GBP).unwrap()
}

fn cart(lines: Vec<Line>) -> Cart {
    Cart::new(Currency::GBP, lines, Amount::ZERO).unwrap()
}

fn items() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(json!({})),
        1 => (0_i64..3).prop_map(|category| json!({"categories": [category]})),
        1 => (0_i64..4).prop_map(|i| json!({"skus": [format!("S{i}")]})),
    ]
}

fn percents() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("100".to_owned()),
        Just("50".to_owned()),
        (1_i64..100).prop_map(|price| price.to_string()),
        (100_i64..9_999).prop_map(|price| pence(price).to_string())
    ]
}

fn money(most: i64) -> impl Strategy<Value = Value> {
    (1..most).prop_map(|minor| json!(pence(minor)))
}

fn with(mut action: Value, more: &[(&str, Option<Value>)]) -> Value {
    for (name, value) in more {
        value.clone().into_iter().for_each(|value| action[*name] = value);
    }
    action
}

/// Actions that count units, each of which serves only once.
fn counting() -> BoxedStrategy<Value> {
    let nth = (2_u32..5, items(), percents()).prop_map(
        |(every, items, off)| json!({"type": "EVERY_NTH", "every": every, "items": items, "percentOff": off}),
    );
    let pack = (
        1_u32..5,
        items(),
        prop_oneof![
            percents().prop_map(|off| ("percentOff", json!(off))),
            money(900).prop_map(|off| ("amountOff", off)),
            money(9_000).prop_map(|price| ("price", price)),
        ],
    )
        .prop_map(|(size, items, (name, value))| json!({"type": "PACK", "size": size, "items": items, name: value}));
    let buy_get = (items(), 1_u32..4, items(), 1_u32..3, percents(), prop::option::weighted(0.3, 1_u32..3)).prop_map(
        |(buy, b, get, g, off, most)| {
            let (buy, get) =
                (json!({"items": buy, "quantity": b}), json!({"items": get, "quantity": g, "percentOff": off}));
            with(json!({"type": "BUY_X_GET_Y", "buy": buy, "get": get}), &[("maxApplications", most.map(Value::from))])
        },
    );
    let bundle = (items(), 1_u32..3, items(), 1_u32..3, money(6_000)).prop_map(|(a, n, b, m, price)| {
        json!({"type": "BUNDLE_PRICE", "parts": [{"items": a, "quantity": n}, {"items": b, "quantity": m}], "price": price})
    });
    prop_oneof![nth, pack, buy_get, bundle].boxed()
}

/// Actions that do not depend on lines.
fn of_units() -> BoxedStrategy<Value> {
    let scope = || prop_oneof![Just("ORDER"), Just("ITEMS")];
    let most = || prop::option::weighted(0.3, money(3_000));
    let cheapest = (
        items(),
        prop_oneof![
            percents().prop_map(|off| ("percentOff", json!(off))),
            money(2_000).prop_map(|off| ("amountOff", off)),
        ],
    )
        .prop_map(|(items, (name, value))| json!({"type": "CHEAPEST", "items": items, name: value}));
    let percent = (percents(), scope(), items(), most()).prop_map(|(value, scope, items, most)| {
        with(json!({"type": "PERCENT_OFF", "value": value, "scope": scope, "items": items}), &[("maxDiscount", most)])
    });
    let amount = (money(4_000), scope(), items()).prop_map(
        |(value, scope, items)| json!({"type": "AMOUNT_OFF", "value": value, "scope": scope, "items": items}),
    );
    let fixed = (money(4_000), scope(), items()).prop_map(
        |(value, scope, items)| json!({"type": "FIXED_PRICE", "value": value, "scope": scope, "items": items}),
    );
    let tiers = (1_u32..6, scope(), items(), prop_oneof![
        percents().prop_map(|off| ("percentOff", json!(off))),
        money(2_000).prop_map(|price| ("unitPrice", price)),
    ], any::<bool>())
    .prop_map(|(from, scope, items, (name, value), quantity)| {
        let (basis, from) = if quantity { ("QUANTITY", json!(from)) } else { ("SUBTOTAL", json!(pence(i64::from(from) * 1_000))) };
        json!({"type": "TIERED", "basis": basis, "scope": scope, "items": items, "tiers": [{"from": from, name: value}]})
    });
    prop_oneof![4 => counting(), 1 => cheapest, 1 => percent, 1 => amount, 1 => fixed, 1 => tiers].boxed()
}

/// Actions that depend on lines.
fn of_lines() -> BoxedStrategy<Value> {
    let scope = || prop_oneof![Just("ORDER"), Just("ITEMS")];
    let units = || prop::option::of(1_u32..4).prop_map(|units| units.map(Value::from));
    let percent = (percents(), scope(), items(), units()).prop_map(|(value, scope, items, units)| {
        with(
            json!({"type": "PERCENT_OFF", "value": value, "scope": scope, "items": items}),
            &[("maxUnitsPerLine", units)],
        )
    });
    let per = prop_oneof![Just("UNIT"), Just("LINE"), Just("ORDER")];
    let amount = (money(3_000), scope(), per, items(), units()).prop_map(|(value, scope, per, items, units)| {
        with(
            json!({"type": "AMOUNT_OFF", "value": value, "scope": scope, "per": per, "items": items}),
            &[("maxUnitsPerLine", units)],
        )
    });
    let tiers = (1_u32..5, scope(), items(), percents(), money(2_000), any::<bool>()).prop_map(
        |(from, scope, items, off, amount, quantity)| {
            let basis = if quantity { "LINE_QUANTITY" } else { "LINE_SUBTOTAL" };
            let at = |units: u32| if quantity { json!(units) } else { json!(pence(i64::from(units) * 1_000)) };
            let tiers = json!([{"from": at(from), "percentOff": off}, {"from": at(from + 2), "amountOff": amount}]);
            json!({"type": "TIERED", "basis": basis, "scope": scope, "items": items, "tiers": tiers})
        },
    );
    prop_oneof![percent, amount, tiers].boxed()
}

fn promotions(action: fn() -> BoxedStrategy<Value>, most: usize) -> impl Strategy<Value = Vec<Value>> {
    let when = prop_oneof![
        3 => Just(Value::Null),
        1 => money(9_000).prop_map(|least| json!({"field": "cart.subtotal", "op": "GTE", "value": least})),
        1 => (items(), 1_i64..6).prop_map(|(items, least)| {
            json!({"field": "items.quantity", "op": "GTE", "value": least, "items": items})
        }),
    ];
    let one = (prop::collection::vec(action(), 1..3), when, any::<bool>());
    let document = |(actions, when, flash)| json!({"actions": actions, "when": when, "includeFlash": flash});
    prop::collection::vec(one.prop_map(document), 1..=most)
}

fn any_action() -> BoxedStrategy<Value> {
    prop_oneof![2 => of_units(), 1 => of_lines()].boxed()
}

fn set(documents: &[Value]) -> RuleSet {
    let rule = |(id, document): (i64, &Value)| {
        Arc::new(Rule::compile(PromotionId(id), &promotion(document.clone()), Currency::GBP, "").unwrap())
    };
    RuleSet::new((1..).zip(documents).map(rule))
}

/// The discount on each line of a cart, in minor units.
fn off(documents: &[Value], cart: &Cart) -> Vec<i64> {
    let answer = evaluate(&set(documents), cart, &EvaluationContext::default(), &[], Detail::Named);
    let minor = |amount: Amount| crate::rules::to_minor(amount, Currency::GBP).unwrap();
    answer
        .line_discounts
        .iter()
        .map(|discounts| minor(discounts.iter().map(|discount| discount.amount).sum()))
        .collect()
}

/// Each unit after all promotions: its SKU, whether it is of a flash sale, its exact price, and whether it has served.
fn prices(documents: &[Value], cart: &Cart) -> Vec<(String, bool, Exact, bool)> {
    let (set, it) = (set(documents), EvaluationContext::default());
    let mut state = State::new(cart, &it);
    for rule in set.cart() {
        if (crate::rules::evaluate::conditions::ConditionContext { rule, state: &state, context: &it }).holds() {
            actions::apply_actions(rule, &mut state, &it).unwrap();
        }
    }
    let mut found = Vec::new();
    for (i, line) in cart.lines.iter().enumerate() {
        for run in state.units_of(i).unwrap().as_slice() {
            for _ in 0..run.units {
                found.push((line.sku.to_string(), line.flash, run.price, run.served));
            }
        }
    }
    found.sort();
    found
}

/// Puts goods into lines in two ways: with one line per SKU, and split into several. In both, some units may be in
/// flash sale lines.
fn in_lines(goods: &[Goods], flash: &[u32], cuts: &[(u32, usize)]) -> (Vec<Line>, Vec<Line>) {
    let (mut together, mut apart, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for (i, of) in goods.iter().enumerate() {
        let (cut, place) = cuts[i % cuts.len()];
        let first = 1 + cut % of.quantity;
        together.push(line(of, of.quantity, false));
        apart.push(line(of, first, false));
        let rest = of.quantity - first;
        let more = [rest / 2, rest - rest / 2];
        later.extend(more.into_iter().filter(|units| *units > 0).map(|units| (place, line(of, units, false))));
        let flash_units = flash[i % flash.len()];
        if flash_units > 0 {
            together.push(line(of, flash_units, true));
            later.push((place / 2, line(of, flash_units, true)));
        }
    }
    for (place, line) in later {
        // Insert it after the first line of its SKU, so that SKUs keep their order.
        let first = apart.iter().position(|other| other.sku == line.sku).unwrap();
        let at = first + 1 + place % (apart.len() - first);
        apart.insert(at, line);
    }
    (together, apart)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_engine_agrees_with_the_model(goods in goods(), flash in prop::collection::vec(0_u32..3, 1..3), cuts in prop::collection::vec((0_u32..9, 0_usize..9), 1..4), promotions in promotions(any_action, 3)) {
        let (together, apart) = in_lines(&goods, &flash, &cuts);
        for lines in [together, apart] {
            let cart = cart(lines);
            let mut model = Model::new(&cart);
            // A promotion that gives no discount changes nothing.
            for document in &promotions {
                let before = (model.units.clone(), model.left.clone());
                model.apply(document);
                if model.left == before.1 {
                    model.units = before.0;
                }
            }
            let want: Vec<i64> = cart.lines.iter().zip(&model.left).map(|(line, left)| line.subtotal - left).collect();
            prop_assert_eq!(off(&promotions, &cart), want);
        }
    }

    #[test]
    fn splitting_units_into_lines_changes_only_rounding(goods in goods(), flash in prop::collection::vec(0_u32..3, 1..3), cuts in prop::collection::vec((0_u32..9, 0_usize..9), 1..4), promotions in promotions(of_units, 3)) {
        let (together, apart) = in_lines(&goods, &flash, &cuts);
        let (together, apart) = (cart(together), cart(apart));
        let (first, second) = (prices(&promotions, &together), prices(&promotions, &apart));
        prop_assert_eq!(first, second);
        let actions: usize = promotions.iter().map(|promotion| promotion["actions"].as_array().unwrap().len()).sum();
        let most = i64::try_from(actions * (together.len() + apart.len())).unwrap();
        let difference = off(&promotions, &together).iter().sum::<i64>() - off(&promotions, &apart).iter().sum::<i64>();
        prop_assert!(2 * difference.abs() <= most, "{} of at most {} halves", 2 * difference, most);
    }

    #[test]
    fn a_unit_serves_once(goods in goods(), first in counting(), second in counting()) {
        // Units that served the first promotion have the same price after the second.
        let cart = cart(goods.iter().map(|of| line(of, of.quantity, false)).collect());
        let (first, second) = (json!({"actions": [first]}), json!({"actions": [second]}));
        let (alone, both) = (prices(std::slice::from_ref(&first), &cart), prices(&[first, second], &cart));
        for (sku, _, price, _) in alone.iter().filter(|(.., served)| *served) {
            let count = |all: &[(String, bool, Exact, bool)]| {
                all.iter().filter(|(other, _, it, served)| *served && other == sku && it == price).count()
            };
            prop_assert!(count(&both) >= count(&alone), "{sku} at {price:?}");
        }
    }
}

#[test]
fn successive_packs_do_not_depend_on_how_units_are_split_into_lines() {
    let pack = |size: u32, price: &str| json!({"actions": [{"type": "PACK", "size": size, "price": price}]});
    let promotions = [pack(3, "126.00"), pack(2, "90.00")];
    let of = Goods { name: 0, price: 5_000, quantity: 5, category: 0, floor: 0, discountable: true };
    for parts in [&[5][..], &[2, 3], &[3, 2], &[1, 4], &[1, 1, 1, 1, 1]] {
        let lines = parts.iter().map(|units| line(&of, *units, false)).collect();
        assert_eq!(off(&promotions, &cart(lines)).iter().sum::<i64>(), 25_000 - 21_600, "{parts:?}");
    }
}

#[test]
fn thousands_of_units_are_counted() {
    let of = |name, quantity| Goods { name, price: 199, quantity, category: 0, floor: 0, discountable: true };
    let lines: Vec<Line> = (0..100).map(|name| line(&of(name, 9_999), 9_999, false)).collect();
    let nth = json!({"actions": [{"type": "EVERY_NTH", "every": 7, "percentOff": "33"}, {"type": "PACK", "size": 5, "price": "7.77"}]});
    assert!(off(&[nth], &cart(lines)).iter().sum::<i64>() > 0);
}

#[test]
fn a_line_whose_units_reach_their_floor_is_paid_at_the_floor() {
    // The first promotion brings both lines of S2 to their floor and rounds one of them to a penny above it.
    let of = |name, price, floor| Goods { name, price, quantity: 1, category: 0, floor, discountable: true };
    let goods = [of(0, 3_571, 0), of(1, 1_500, 0), of(2, 1_500, 750), of(2, 1_500, 750)];
    let cart = cart(goods.iter().map(|good| line(good, 1, false)).collect());
    let per_unit = |value: &str| json!({"type": "AMOUNT_OFF", "per": "UNIT", "scope": "ORDER", "value": value});
    let half = json!({"type": "TIERED", "basis": "LINE_QUANTITY", "tiers": [{"from": 1, "percentOff": "50"}]});
    let first = json!({"actions": [per_unit("9.60"), half]});
    assert_eq!(off(std::slice::from_ref(&first), &cart), [3_138, 1_319, 750, 749]);
    assert_eq!(off(&[first, json!({"actions": [per_unit("1.54")]})], &cart), [3_571, 1_500, 750, 750]);
}

#[test]
fn a_line_that_only_serves_is_not_discounted() {
    // The first two promotions bring every unit of S0 to its floor and round its second line to a penny above it. The
    // third promotion counts that line as bought and does not discount it.
    let of = |name, price, floor| Goods { name, price, quantity: 1, category: 0, floor, discountable: true };
    let (s0, s1) = (of(0, 3_029, 1_514), of(1, 2_642, 0));
    let lines =
        [line(&s0, 3, false), line(&s0, 2, true), line(&s0, 1, false), line(&s1, 1, false), line(&s1, 1, false)];
    let percent = |value: &str| json!({"type": "PERCENT_OFF", "value": value});
    let one = || json!({"quantity": 1, "percentOff": "100"});
    let tiers = json!({"type": "TIERED", "basis": "SUBTOTAL", "tiers": [{"from": "10.00", "percentOff": "23"}]});
    let buy_get = json!({"type": "BUY_X_GET_Y", "buy": {"quantity": 1}, "get": one()});
    let promotions = [
        json!({"actions": [percent("13.57")], "includeFlash": true}),
        json!({"actions": [tiers]}),
        json!({"actions": [percent("22.79"), buy_get]}),
    ];
    assert_eq!(off(&promotions, &cart(lines.into())), [4_545, 0, 1_514, 2_642, 2_642]);
}

#[test]
fn large_carts_with_many_stacked_promotions_are_priced() {
    // Every promotion shares an amount over different lines than the previous one. As fractions, the denominators of
    // unit prices would double in length with each promotion.
    let of = |name: usize| Goods {
        name,
        price: 500 + i64::try_from(name).unwrap() * 7,
        quantity: 3,
        category: i64::try_from(name % 7).unwrap(),
        floor: 0,
        discountable: true,
    };
    let lines: Vec<Line> = (0..1_000).map(|name| line(&of(name), 3, false)).collect();
    let promotion = |i: i64| {
        let categories = [i % 7, (i + 1) % 7, (i + 3) % 7];
        json!({"actions": [{"type": "PERCENT_OFF", "value": format!("1.{:04}", 331 + i * 97), "items": {"categories": categories}}]})
    };
    let promotions: Vec<Value> = (0..20).map(promotion).collect();
    let off = off(&promotions, &cart(lines));
    assert!(off.iter().all(|off| *off > 0));
}

#[test]
fn a_tier_without_a_discount_rounds_nothing() {
    // The second promotion brings S0 to a penny above its floor. The third one's tier for S0 is an amount for which no
    // unit has room, while its other tier brings S2 to its floor.
    let of =
        |name, price, quantity, category, floor| Goods { name, price, quantity, category, floor, discountable: true };
    let goods = [of(0, 1_500, 5, 1, 1_125), of(1, 1_500, 4, 0, 0), of(2, 1_000, 3, 1, 500), of(3, 333, 6, 0, 166)];
    let both = |of: &Goods| [line(of, of.quantity, false), line(of, 1, true)];
    let tiers = json!([{"from": "20.00", "percentOff": "100"}, {"from": "40.00", "amountOff": "0.01"}]);
    let promotions = [
        json!({"actions": [{"type": "AMOUNT_OFF", "per": "LINE", "value": "1.73"}], "includeFlash": true}),
        json!({"actions": [{"type": "PERCENT_OFF", "value": "100", "items": {"skus": ["S0"]}}], "includeFlash": true}),
        json!({"actions": [{"type": "TIERED", "basis": "LINE_SUBTOTAL", "items": {"categories": [1]}, "tiers": tiers}]}),
    ];
    let cart = cart(goods.iter().flat_map(both).collect());
    assert_eq!(off(&promotions, &cart), [1_874, 0, 429, 54, 1_500, 0, 143, 0]);
}
