//! Worked examples as tables of data, one file per subject: a cart as a line of text, promotions in JSON, and the
//! complete result as a line of text, so that no unexpected effect goes unnoticed.
//!
//! A cart is a list of `SKU*quantity@price` separated by spaces. A suffix `/c3` is a category, `/p7` a product,
//! `/f5.00` a floor price, `/l12.00` a list price, `/x` means not discountable, `/flash` a flash sale, and `/color=red`
//! an attribute. A result has parts separated by `|`: catalog prices after `shelf`, the discount of each line,
//! shipping, gifts, points, the promotions applied after `by`, each rejected one after `no`, and offers.

use std::sync::Arc;

use promox_contract::ids::{CampaignId, FlashSaleId, PromotionId};
use promox_contract::promotion::{Customer, Evaluation};
use promox_kernel::{Amount, Currency, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::rules::{
    Allowance, CampaignEligibility, Cart, Detail, EvaluationContext, GiftStock, Line, LineInput, NamedCode, Promotion,
    Rule, RuleSet, evaluate, normal_code,
};

/// Optional settings of an example.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Setting {
    currency: Option<Currency>,
    shipping: Option<Amount>,
    country: Option<String>,
    method: Option<String>,
    payment: Option<String>,
    channel: Option<String>,
    attributes: std::collections::BTreeMap<String, String>,
    codes: Vec<String>,
    /// Coupons, each as `CODE=promotion`.
    coupons: Vec<String>,
    customer: Customer,
    at: Option<Timestamp>,
    cap: Option<Amount>,
    /// The remaining budget of a promotion, or the reason why it is exhausted: `1: 5.00`, `2: LIMIT_REACHED`.
    left: std::collections::BTreeMap<i64, String>,
    campaigns: std::collections::BTreeMap<i64, String>,
    /// Gifts, each as `SKU: price x available`.
    stock: std::collections::BTreeMap<String, String>,
    everything: bool,
}

/// An example: name, cart, promotions, expected result, and settings.
struct Example(String, String, Vec<Value>, String, Setting);

impl Example {
    fn read(row: Value) -> Self {
        let Value::Array(row) = row else { panic!("a row is a list: {row}") };
        let text = |i: usize| row[i].as_str().unwrap().to_owned();
        let setting = row.get(4).map(|item| serde_json::from_value(item.clone()).unwrap()).unwrap_or_default();
        Self(text(0), text(1), row[2].as_array().unwrap().clone(), text(3), setting)
    }
}

pub(super) fn cart(text: &str, currency: Currency, shipping: Amount) -> Cart {
    let lines = text.split_whitespace().map(|line| Line::new(input(line), currency).unwrap()).collect();
    Cart::new(currency, lines, shipping).unwrap()
}

fn input(text: &str) -> LineInput {
    let mut parts = text.split('/');
    let (sku, rest) = parts.next().unwrap().split_once('*').unwrap();
    let (quantity, price) = rest.split_once('@').unwrap();
    let price: Amount = price.parse().unwrap();
    let mut line = LineInput {
        sku: sku.parse().unwrap(),
        former_skus: Vec::new(),
        product_id: None,
        category_ids: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        quantity: quantity.parse().unwrap(),
        list_price: price,
        unit_price: price,
        floor_price: None,
        discountable: true,
        flash_sale_id: None,
    };
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) => {
                line.attributes.insert(name.to_owned(), value.to_owned());
            }
            None if part == "flash" => line.flash_sale_id = Some(FlashSaleId(1)),
            None if part == "x" => line.discountable = false,
            None if part.starts_with('c') => line.category_ids.push(part[1..].parse().unwrap()),
            None if part.starts_with('p') => line.product_id = Some(part[1..].parse().unwrap()),
            None if part.starts_with('f') => line.floor_price = Some(part[1..].parse().unwrap()),
            None => line.list_price = part.strip_prefix('l').unwrap().parse().unwrap(),
        }
    }
    line
}

pub(super) fn promotion(mut document: Value) -> Promotion {
    document.as_object_mut().unwrap().entry("name").or_insert("Promo".into());
    serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{document}: {error}"))
}

pub(super) fn rules(documents: &[Value], currency: Currency) -> RuleSet {
    let compile = |(i, document): (i64, &Value)| {
        let promotion = promotion(document.clone());
        let id = PromotionId(promotion.id.unwrap_or(i));
        Arc::new(Rule::compile(id, &promotion, currency, "").unwrap_or_else(|faults| panic!("{document}: {faults:?}")))
    };
    RuleSet::new((1..).zip(documents).map(compile))
}

fn context(it: &Setting) -> EvaluationContext {
    let amount = |text: &str| text.parse::<Amount>().ok();
    let allowance = |text: &String| Allowance { exhausted: text.parse().ok(), budget_left: amount(text) };
    let eligibility = |text: &String| CampaignEligibility { refused: text.parse().ok(), left: amount(text) };
    let stock = |sku: &String, text: &String| {
        let (price, available) = text.split_once(" x ").unwrap();
        GiftStock { sku: sku.parse().unwrap(), price: price.parse().unwrap(), available: available.parse().unwrap() }
    };
    EvaluationContext {
        now: it.at.unwrap_or_else(|| "2026-11-23T12:00:00Z".parse().unwrap()),
        customer: it.customer.clone(),
        allowances: it.left.iter().map(|(id, text)| (PromotionId(*id), allowance(text))).collect(),
        campaigns: it.campaigns.iter().map(|(id, text)| (CampaignId(*id), eligibility(text))).collect(),
        gifts: it.stock.iter().map(|(sku, text)| (sku.parse().unwrap(), stock(sku, text))).collect(),
        max_discount_percent: it.cap,
        ignore_dates: false,
    }
}

fn named(it: &Setting, set: &RuleSet) -> Vec<NamedCode> {
    let code = |code: &String| NamedCode {
        code: code.clone(),
        promotion: set.by_code(&normal_code(code)),
        coupon: false,
        refused: None,
    };
    let coupon = |text: &String| {
        let (code, id) = text.split_once('=').unwrap();
        NamedCode {
            code: code.to_owned(),
            promotion: Some(PromotionId(id.parse().unwrap())),
            coupon: true,
            refused: None,
        }
    };
    it.codes.iter().map(code).chain(it.coupons.iter().map(coupon)).collect()
}

/// The result as a line of text.
fn result_text(answer: &Evaluation, cart: &Cart) -> String {
    let skus: Vec<&str> = cart.lines.iter().map(|line| line.sku.as_str()).collect();
    let mut parts = Vec::new();
    let price = |line: &Line| format!("{} {}", line.sku, crate::rules::to_amount(line.unit, cart.currency));
    let changed = cart.lines.iter().filter(|line| line.unit != line.list && !line.flash);
    let catalog_prices: Vec<String> = changed.map(price).collect();
    if !catalog_prices.is_empty() {
        parts.push(format!("shelf {}", catalog_prices.join(", ")));
    }
    let lines: Vec<String> = skus
        .iter()
        .zip(&answer.line_discounts)
        .map(|(sku, discounts)| (sku, discounts.iter().map(|discount| discount.amount).sum::<Amount>()))
        .filter(|(_, amount)| !amount.is_zero())
        .map(|(sku, amount)| format!("{sku} {amount}"))
        .collect();
    parts.push(lines.join(", "));
    if !answer.shipping_discount.is_zero() {
        parts.push(format!("shipping {}", answer.shipping_discount));
    }
    parts.extend(answer.gifts.iter().map(|gift| format!("gift {}*{} at {}", gift.sku, gift.quantity, gift.value)));
    parts.extend(answer.points_multiplier.map(|factor| format!("points x{factor}")));
    let applied: Vec<String> = answer.applied.iter().map(|item| item.promotion_id.to_string()).collect();
    if !applied.is_empty() {
        parts.push(format!("by {}", applied.join(",")));
    }
    for rejected in &answer.rejected {
        let who = rejected.code.clone().or(rejected.promotion_id.map(|id| id.to_string())).unwrap();
        let detail = |it: &promox_contract::promotion::RejectDetail| {
            let missing = it.missing.map(|missing| format!(" -{missing}")).unwrap_or_default();
            format!(" [{} {} {} {}{missing}]", it.field, it.op, it.wanted, it.actual)
        };
        let details: String = rejected.details.iter().map(detail).collect();
        parts.push(format!("no {who} {}{details}", rejected.reason));
    }
    parts.extend(answer.offers.iter().map(|offer| format!("offer {}: {}", offer.promotion_id, offer.message)));
    parts.retain(|part| !part.is_empty());
    parts.join(" | ")
}

/// Checks that the sums of a result agree with each other.
pub(super) fn check_sums(cart: &Cart, answer: &Evaluation) {
    let zero = Amount::ZERO;
    for (line, discounts) in cart.lines.iter().zip(&answer.line_discounts) {
        let off: Amount = discounts.iter().map(|discount| discount.amount).sum();
        let cost = crate::rules::to_amount(line.subtotal, cart.currency);
        assert!(off <= cost && !off.is_negative(), "a discount of {off} on {cost}");
        assert!(discounts.iter().all(|discount| discount.amount > zero));
    }
    assert!(answer.shipping_discount <= crate::rules::to_amount(cart.shipping, cart.currency));
    for applied in
        answer.applied.iter().filter(|item| answer.uses.iter().any(|used| used.promotion_id == item.promotion_id))
    {
        let shares: Vec<Amount> = answer
            .line_discounts
            .iter()
            .flatten()
            .filter(|item| item.promotion_id == applied.promotion_id)
            .map(|item| item.amount)
            .collect();
        if !shares.is_empty() {
            assert_eq!(shares.into_iter().sum::<Amount>(), applied.amount);
        }
    }
    assert_eq!(answer.applied.len(), answer.uses.len());
}

/// Runs the examples of a file. Returns their number.
fn run(file: &str, text: &str) -> usize {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let count = rows.len();
    let mut wrong = Vec::new();
    for row in rows {
        let Example(name, lines, promotions, want, setting) = &Example::read(row);
        let got = answer(lines, promotions, setting);
        if got != *want {
            wrong.push(format!("{name}\n  want {want}\n  got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{file}:\n{}", wrong.join("\n"));
    count
}

fn answer(lines: &str, promotions: &[Value], setting: &Setting) -> String {
    let currency = setting.currency.unwrap_or(Currency::GBP);
    let set = rules(promotions, currency);
    let mut cart = cart(lines, currency, setting.shipping.unwrap_or(Amount::ZERO));
    cart.country.clone_from(&setting.country);
    cart.shipping_method.clone_from(&setting.method);
    cart.payment_method.clone_from(&setting.payment);
    cart.channel = setting.channel.clone().unwrap_or(cart.channel);
    cart.attributes.clone_from(&setting.attributes);
    let it = context(setting);
    if !set.catalog().is_empty() {
        set.apply_catalog_prices(&mut cart, &it);
    }
    let detail = if setting.everything { Detail::Everything } else { Detail::Named };
    let answer = evaluate(&set, &cart, &it, &named(setting, &set), detail);
    check_sums(&cart, &answer);
    result_text(&answer, &cart)
}

macro_rules! example_files {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), include_str!(concat!("examples/", stringify!($name), ".json")));
        })+

        #[test]
        fn there_are_at_least_150() {
            let count = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap().len();
            let files = [$(include_str!(concat!("examples/", stringify!($name), ".json"))),+];
            let all: usize = files.into_iter().map(count).sum();
            assert!(all >= 150, "{all}");
        }
    };
}
example_files!(
    percent,
    amount,
    fixed_price,
    tiers,
    buy_get,
    every_nth,
    packs,
    bundles,
    cheapest,
    shipping_and_gifts,
    stacking,
    exclusive,
    conditions,
    filters,
    budgets,
    catalog,
    currencies,
    codes
);
