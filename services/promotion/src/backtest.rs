//! Evaluates a draft against past orders with the production engine, one evaluation per order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use promox_contract::buyer::{Buyer, Person, PersonKey};
use promox_contract::ids::PromotionId;
use promox_contract::order::{FigureLine, ListOrderFigures, OrderFigure, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_contract::product::{DescribeSkus, SkuDescription};
use promox_contract::promotion::{Customer, Evaluation, GetPricingTerms, RejectReason};
use promox_kernel::{Amount, Currency, Cx, Error, Sku, Timestamp, UserId};
use rust_decimal::Decimal;

use crate::api::{BacktestPromotion, BacktestResult};
use crate::document::require_gifts;
use crate::facts::{self, currency};
use crate::rules::{
    Allowance, Cart, CountedBuyer, Counter, Counting, Detail, EvaluationContext, Line, LineInput, NamedCode,
    PersonLimit, Promotion, Rule, RuleSet, TOTAL, evaluate, to_minor,
};

/// Maximum orders fetched in one call.
const PAGE_SIZE: usize = 1_000;
/// Maximum SKUs described in one call.
const SKUS_PER_CALL: usize = 500;
/// The id under which the draft is evaluated.
const DRAFT: PromotionId = PromotionId(1);

/// Evaluates a draft against the orders of a period.
pub(crate) async fn run(cx: &Cx, op: &BacktestPromotion) -> Result<BacktestResult, Error> {
    if op.from >= op.to {
        return Err(Error::field("/to", "must be after from"));
    }
    let currency = currency(cx).await?;
    let mut run = Run::new(cx, &op.promotion, currency).await?;
    let mut after = None;
    loop {
        let (from, to) = (Some(op.from), Some(op.to));
        let page = cx.call(ListOrderFigures { ids: Vec::new(), from, to, after, limit: Some(PAGE_SIZE) }).await?.items;
        let Some(last) = page.last().map(|order| (order.placed_at, order.id)) else { break };
        run.describe(cx, &page).await?;
        for order in &page {
            run.count(cx, order).await?;
        }
        // A page may be short if its orders have many lines. Only an empty page is the last one.
        after = Some(last);
    }
    Ok(run.result(op))
}

/// The buyer of a past order as limits count them. Order figures identify the customer, but have no address.
fn counted_buyer(order: &OrderFigure) -> CountedBuyer {
    let keys = vec![PersonKey { name: order.customer.clone(), exact: None }];
    CountedBuyer {
        person: Person { keys, ignore_plus_tags: false },
        email: Some(order.customer.clone()),
        address: None,
    }
}

/// A backtest in progress.
struct Run {
    currency: Currency,
    set: RuleSet,
    rule: Arc<Rule>,
    named: Vec<NamedCode>,
    context: EvaluationContext,
    skus: HashMap<Sku, Option<Arc<SkuDescription>>>,
    /// The number and total of each customer's earlier orders in this run.
    bought: HashMap<String, (i64, Amount)>,
    /// Facts about customers as of today, if the draft refers to them.
    known: HashMap<UserId, Customer>,
    counts: HashMap<String, u32>,
    /// When each customer used the draft in this run, if it has a limit per person.
    used: HashMap<String, Vec<Timestamp>>,
    spent: Amount,
    sums: Sums,
}

#[derive(Default)]
struct Sums {
    orders: i64,
    touched: i64,
    given: Amount,
    shipping: Amount,
    before: Amount,
    after: Amount,
}

impl Run {
    async fn new(cx: &Cx, promotion: &Promotion, currency: Currency) -> Result<Self, Error> {
        let draft = Promotion { campaign_id: None, ..promotion.clone() };
        let rule = Rule::compile(DRAFT, &draft, currency, "/promotion").map_err(Error::invalid)?;
        require_gifts(cx, promotion, "/promotion").await?;
        let rule = Arc::new(rule);
        let on_request = promotion.code.is_some() || promotion.coupon_only;
        let code = promotion.code.clone().unwrap_or_default();
        let named = NamedCode { code, promotion: Some(DRAFT), coupon: promotion.coupon_only, refused: None };
        let gifts = facts::gifts(cx, rule.needs().gifts.clone()).await?;
        let max_discount_percent = cx.call(GetPricingTerms::default()).await?.max_discount_percent;
        let context =
            EvaluationContext { gifts, max_discount_percent, ignore_dates: true, ..EvaluationContext::default() };
        Ok(Self {
            currency,
            set: RuleSet::new([rule.clone()]),
            rule,
            named: if on_request { vec![named] } else { Vec::new() },
            context,
            skus: HashMap::new(),
            bought: HashMap::new(),
            known: HashMap::new(),
            counts: HashMap::new(),
            used: HashMap::new(),
            spent: Amount::ZERO,
            sums: Sums::default(),
        })
    }

    /// Queries the current categories, attributes and floor prices of a page's SKUs.
    async fn describe(&mut self, cx: &Cx, page: &[OrderFigure]) -> Result<(), Error> {
        let mut unknown: Vec<Sku> = Vec::new();
        for FigureLine { line, .. } in page.iter().flat_map(|order| &order.lines) {
            if !self.skus.contains_key(&line.sku) {
                self.skus.insert(line.sku.clone(), None);
                unknown.push(line.sku.clone());
            }
        }
        for skus in unknown.chunks(SKUS_PER_CALL) {
            for found in cx.call(DescribeSkus { skus: skus.to_vec() }).await?.items {
                let found = Arc::new(found);
                for sku in found.former_skus.iter().chain([&found.sku]) {
                    self.skus.insert(sku.clone(), Some(found.clone()));
                }
            }
        }
        Ok(())
    }

    /// Evaluates the draft on an order and adds the result to the sums. Orders that were not completed, or in another
    /// currency, are skipped.
    async fn count(&mut self, cx: &Cx, order: &OrderFigure) -> Result<(), Error> {
        let counts = !matches!(order.status, OrderStatus::Pending | OrderStatus::Failed | OrderStatus::Cancelled);
        if !counts || order.currency != self.currency {
            return Ok(());
        }
        self.context.now = order.placed_at;
        self.context.customer = self.customer(cx, order).await?;
        let counting = self.rule.counting(&counted_buyer(order), order.placed_at);
        let exhausted = self.exhausted(order, &counting);
        let budget_left = self.rule.budget_amount().map(|budget| budget - self.spent);
        self.context.allowances = HashMap::from([(DRAFT, Allowance { exhausted, budget_left })]);
        let cart = self.cart(order)?;
        let answer = evaluate(&self.set, &cart, &self.context, &self.named, Detail::Named);
        if let Some(used) = answer.uses.first() {
            self.spent += used.amount;
            let limited = |counter: &Counter| counter.most.is_some() || counter.name == TOTAL;
            for counter in counting.counters.into_iter().filter(limited) {
                *self.counts.entry(counter.name).or_default() += 1;
            }
            if !counting.person.is_empty() {
                self.used.entry(order.customer.clone()).or_default().push(order.placed_at);
            }
        }
        self.add(order, &answer);
        Ok(())
    }

    /// The limit that was already reached before this order, if any.
    fn exhausted(&self, order: &OrderFigure, counting: &Counting) -> Option<RejectReason> {
        let used = self.used.get(&order.customer).map_or(&[][..], Vec::as_slice);
        let reached = |limit: &PersonLimit| {
            used.iter().filter(|at| **at >= limit.since).count() >= usize::try_from(limit.most).unwrap_or(usize::MAX)
        };
        if counting.person.iter().any(reached) {
            return Some(RejectReason::UserLimitReached);
        }
        let full = |counter: &&Counter| {
            counter.most.is_some_and(|most| self.counts.get(&counter.name).is_some_and(|uses| *uses >= most))
        };
        counting.counters.iter().find(full).map(|counter| counter.reason)
    }

    /// The buyer at the time of the order. Purchases are those of earlier orders in the run; other facts are as of
    /// today.
    async fn customer(&mut self, cx: &Cx, order: &OrderFigure) -> Result<Customer, Error> {
        let needs = self.rule.needs();
        let mut customer = Customer { id: order.user_id, is_guest: order.user_id.is_none(), ..Customer::default() };
        if let Some(id) = order.user_id.filter(|_| needs.profile || needs.tier || needs.segments) {
            customer = match self.known.get(&id) {
                Some(known) => known.clone(),
                None => facts::customer(cx, &Buyer { user_id: Some(id), ..Buyer::default() }, needs).await?,
            };
            self.known.insert(id, customer.clone());
        }
        let (count, spent) = self.bought.get(&order.customer).copied().unwrap_or_default();
        customer.order_count = count;
        customer.total_spent = spent;
        let entry = self.bought.entry(order.customer.clone()).or_default();
        *entry = (count + 1, spent + order.totals.total);
        Ok(customer)
    }

    /// The order as a cart, with its lines at the prices that were paid.
    fn cart(&self, order: &OrderFigure) -> Result<Cart, Error> {
        let lines: Option<Vec<Line>> = order.lines.iter().map(|line| self.line(&line.line)).collect();
        let lines = lines.ok_or_else(|| Error::internal(format_args!("order {} cannot be counted", order.id)))?;
        Cart::new(self.currency, lines, order.totals.shipping - order.totals.shipping_discount)
    }

    fn line(&self, line: &OrderLine) -> Option<Line> {
        let known = self.skus.get(&line.sku).and_then(Option::as_ref);
        let cost = to_minor(line.subtotal - line.discount, self.currency)?;
        let input = LineInput {
            sku: known.map_or_else(|| line.sku.clone(), |described| described.sku.clone()),
            former_skus: known.map(|described| described.former_skus.clone()).unwrap_or_default(),
            product_id: line.product_id.map(|id| id.0),
            category_ids: known
                .map(|described| described.category_ids.iter().map(|id| id.0).collect())
                .unwrap_or_default(),
            attributes: known.map_or_else(BTreeMap::new, |described| described.attributes.clone()),
            quantity: line.quantity,
            list_price: line.unit_price,
            unit_price: line.unit_price,
            floor_price: known.and_then(|described| described.floor_price),
            discountable: known.is_none_or(|described| described.discountable),
            flash_sale_id: None,
        };
        Line::costing(input, cost, self.currency)
    }

    fn add(&mut self, order: &OrderFigure, answer: &Evaluation) {
        let sums = &mut self.sums;
        sums.orders += 1;
        sums.touched += i64::from(!answer.uses.is_empty());
        sums.given += answer.uses.iter().map(|used| used.amount).sum::<Amount>();
        sums.shipping += answer.shipping_discount;
        for (FigureLine { line, .. }, discounts) in order.lines.iter().zip(&answer.line_discounts) {
            let paid = line.subtotal - line.discount;
            let net = line.net(order.prices_include_tax);
            let off: Amount = discounts.iter().map(|discount| discount.amount).sum();
            sums.before += net;
            sums.after += if paid.is_zero() || off.is_zero() {
                net
            } else {
                self.currency.round(net.0 * (paid.0 - off.0) / paid.0)
            };
        }
    }

    fn result(self, op: &BacktestPromotion) -> BacktestResult {
        let (sums, currency) = (self.sums, self.currency);
        let average = |sum: Amount| currency.round(sum.0 / Decimal::from(sums.orders.max(1)));
        BacktestResult {
            from: op.from,
            to: op.to,
            currency,
            orders: sums.orders,
            orders_touched: sums.touched,
            discount_given: currency.round(sums.given.0),
            shipping_discount: currency.round(sums.shipping.0),
            revenue_before: currency.round(sums.before.0),
            revenue_after: currency.round(sums.after.0),
            average_order_before: average(sums.before),
            average_order_after: average(sums.after),
        }
    }
}
