//! The rules engine alone: carts of 10 and 100 lines against 10, 1,000 and 10,000 active promotions.
//!
//! The promotions have every kind of key that the engine indexes them by: a SKU, a category, a segment, a code, and
//! none. The buyer is in one of the segments and names two codes, so that each kind has candidates.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::{Customer, Evaluation};
use promox_kernel::{Amount, Currency};
use promox_promotion::rules::{
    Cart, Detail, EvaluationContext, Line, LineInput, NamedCode, Promotion, Rule, RuleSet, evaluate, normal_code,
};
use serde_json::{Value, json};

use crate::latency::Latencies;

/// SKUs that promotions are spread over.
const SKUS: usize = 20_000;
/// Categories that promotions are spread over.
const CATEGORIES: usize = 400;
/// Segments that promotions are spread over.
const SEGMENTS: usize = 500;
/// Codes that the buyer names, of promotions 3 and 8.
const BUYER_CODES: [&str; 2] = ["CODE3", "CODE8"];

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each line of the table.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    println!("{:<44} {:>10} {:>10} {:>10} {:>9}", "one evaluation", "mean µs", "p50 µs", "p99 µs", "applied");
    for (lines, promotions) in [(10, 10), (10, 10_000), (100, 1_000)] {
        let (set, cart) = (promotions_of(promotions)?, cart_of(lines)?);
        let segments = vec!["segment-7".to_owned()];
        let customer = Customer { segments, ..Customer::default() };
        let context = EvaluationContext { customer, ..EvaluationContext::default() };
        let named = BUYER_CODES.map(|code| named(code, &set));
        let evaluate = || evaluate(&set, &cart, &context, &named, Detail::Named);
        let measured = measure(Duration::from_secs(options.seconds), evaluate);
        print(&format!("{lines} lines against {promotions} promotions"), measured);
    }
    Ok(())
}

fn named(code: &str, set: &RuleSet) -> NamedCode {
    NamedCode { code: code.to_owned(), promotion: set.by_code(&normal_code(code)), coupon: false, refused: None }
}

/// Runs evaluations one after another for `span` and times each, after a tenth of it to warm up. Returns the latencies,
/// the duration, and the number of applied promotions.
fn measure(span: Duration, evaluate: impl Fn() -> Evaluation) -> (Latencies, Duration, usize) {
    let warm = Instant::now();
    while warm.elapsed() < span / 10 {
        black_box(evaluate());
    }
    let (start, mut latencies) = (Instant::now(), Latencies::default());
    while start.elapsed() < span {
        let one = Instant::now();
        black_box(evaluate());
        latencies.add(one.elapsed());
    }
    (latencies, start.elapsed(), evaluate().applied.len())
}

fn print(name: &str, (mut latencies, span, applied): (Latencies, Duration, usize)) {
    let mean = span.as_nanos() / latencies.count().max(1) as u128;
    let [mean, p50, p99] = [mean, latencies.per_mille(500).as_nanos(), latencies.per_mille(990).as_nanos()].map(micros);
    println!("{name:<44} {mean:>10} {p50:>10} {p99:>10} {applied:>9}");
}

fn micros(nanos: u128) -> String {
    format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10)
}

fn cart_of(lines: usize) -> Result<Cart, Box<dyn Error>> {
    let mut built = Vec::with_capacity(lines);
    for i in 0..lines {
        let price: Amount = format!("{}.{:02}", 3 + i % 40, i * 37 % 100).parse()?;
        let input = LineInput {
            sku: format!("SKU-{}", i * 7).parse()?,
            former_skus: Vec::new(),
            product_id: Some(i64::try_from(i)? + 1),
            category_ids: vec![i64::try_from(i % CATEGORIES)?, i64::try_from(i * 3 % CATEGORIES)?],
            attributes: BTreeMap::new(),
            quantity: u32::try_from(1 + i % 4)?,
            list_price: price,
            unit_price: price,
            floor_price: None,
            discountable: true,
            flash_sale_id: None,
        };
        built.push(Line::new(input, Currency::GBP).ok_or("the total of a line is too large")?);
    }
    Ok(Cart::new(Currency::GBP, built, "4.99".parse()?)?)
}

fn promotions_of(count: usize) -> Result<RuleSet, Box<dyn Error>> {
    let mut rules = Vec::with_capacity(count);
    for i in 0..count {
        let promotion: Promotion = serde_json::from_value(document(i))?;
        let id = PromotionId(i64::try_from(i)? + 1);
        let rule = Rule::compile(id, &promotion, Currency::GBP, "").map_err(|faults| format!("{faults:?}"))?;
        rules.push(Arc::new(rule));
    }
    Ok(RuleSet::new(rules))
}

/// The `i`-th promotion, of one of five kinds: for SKUs, for a category, for a segment, with a code, or a BUY_X_GET_Y.
/// One in a hundred depends on the subtotal of the cart instead.
fn document(i: usize) -> Value {
    let value = (1 + i % 9).to_string();
    let percent = json!({"type": "PERCENT_OFF", "value": value, "scope": "ITEMS"});
    let of = |key: &str, members: Value| {
        let action = json!({"type": "PERCENT_OFF", "value": value, "scope": "ITEMS", "items": {key: members}});
        json!({"name": format!("P{i}"), "actions": [action]})
    };
    match i % 5 {
        0 => of("skus", json!([format!("SKU-{}", i * 13 % SKUS), format!("SKU-{}", i % SKUS)])),
        1 => of("categories", json!([i % CATEGORIES])),
        2 => {
            let segment =
                json!({"field": "customer.segments", "op": "IN", "value": [format!("segment-{}", i % SEGMENTS)]});
            json!({"name": format!("P{i}"), "when": segment, "actions": [percent]})
        }
        3 => {
            json!({"name": format!("P{i}"), "code": format!("CODE{i}"), "actions": [{"type": "AMOUNT_OFF", "value": "1.00"}]})
        }
        _ if i % 100 == 4 => {
            let condition = json!({"field": "cart.subtotal", "op": "GTE", "value": format!("{}.00", 20 + i % 500)});
            json!({"name": format!("P{i}"), "when": condition, "actions": [{"type": "PERCENT_OFF", "value": "1"}]})
        }
        _ => {
            let sku = |sku: usize| json!({"skus": [format!("SKU-{}", sku % SKUS)]});
            let (buy, get) = (
                json!({"items": sku(i), "quantity": 1}),
                json!({"items": sku(i * 3), "quantity": 1, "percentOff": "50"}),
            );
            json!({"name": format!("P{i}"), "actions": [{"type": "BUY_X_GET_Y", "buy": buy, "get": get}]})
        }
    }
}
