//! Random sequences of actions compared with a plain model: whatever happens to orders, and in whichever batches the
//! events are followed, the figures of any period are the naive sums over the current orders.

use promox_testkit::sample::at;
use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Waker};
use std::time::Duration;

use promox_contract::analytics::{COUNTED, CREDITED, FLASH_SALES, REFUNDED, below_list, counted};
use promox_contract::ids::{CampaignId, FlashSaleId};
use promox_contract::order::{FigureLine, FigureRefund, OrderFigure, OrderStatus};
use promox_contract::promotion::shares;
use promox_kernel::{Amount, Timestamp};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::rebuilding::rows;
use super::world::{World, line, order, used};
use crate::api::{GetState, Rebuild};
use crate::queries::sums::Wanted;
use crate::rules::counting::counts;
use crate::rules::period::Period;
use promox_storage::Service as _;

#[derive(Clone, Debug)]
enum Action {
    /// Places an order, or changes it to other lines, another customer and another time.
    Order {
        id: i64,
        customer: u8,
        minute: u32,
        micros: i64,
        lines: Vec<(u8, u32, i64)>,
        promotion: Option<(i64, bool)>,
    },
    Cancel {
        id: i64,
    },
    Refund {
        id: i64,
        minute: u32,
        pence: i64,
    },
    Note {
        id: i64,
        minute: u32,
        pence: i64,
    },
    Follow,
    /// Follows one batch, so that other actions happen between the transactions of a rebuild.
    Turn,
    /// Follows one batch and drops the work after this many polls. Writes that it had started may still happen.
    Abandon(u32),
    /// Starts a rebuild, unless one is running.
    Rebuild,
    /// Another process continues from the stored state.
    Restart,
    /// A minute passes, and a batch of replaced rows is removed.
    Sweep,
}

/// The minutes of about a quarter of a year.
const MINUTES: u32 = 130_000;

/// A random action.
fn action() -> impl Strategy<Value = Action> {
    let lines = prop::collection::vec((0_u8..12, 1_u32..5, 1_i64..5_000), 1..4);
    let placed = (1_i64..40, 0_u8..8, 0..MINUTES, 0_i64..3, lines, prop::option::of((1_i64..4, any::<bool>())));
    prop_oneof![
        6 => placed.prop_map(|(id, customer, minute, micros, lines, promotion)| {
            Action::Order { id, customer, minute, micros, lines, promotion }
        }),
        2 => (1_i64..40).prop_map(|id| Action::Cancel { id }),
        2 => (1_i64..40, 0..MINUTES, 1_i64..500).prop_map(|(id, minute, pence)| Action::Refund { id, minute, pence }),
        1 => (1_i64..6, 0..MINUTES, 1_i64..500).prop_map(|(id, minute, pence)| Action::Note { id, minute, pence }),
        3 => Just(Action::Follow),
        3 => Just(Action::Turn),
        2 => (0_u32..12).prop_map(Action::Abandon),
        1 => Just(Action::Rebuild),
        1 => Just(Action::Restart),
        2 => Just(Action::Sweep),
    ]
}

fn time(minute: u32, micros: i64) -> Timestamp {
    let time = at("2024-02-10T00:00:00Z") + Duration::from_secs(60 * u64::from(minute));
    Timestamp(time.0 + micros)
}

fn pence(pence: i64) -> Amount {
    Amount(Decimal::new(pence, 2))
}

/// The expected state.
#[derive(Debug, Default)]
struct Model {
    orders: BTreeMap<i64, OrderFigure>,
    notes: BTreeMap<i64, (Timestamp, Amount)>,
}

impl Model {
    /// The orders that count.
    fn counted(&self) -> impl Iterator<Item = &OrderFigure> {
        self.orders.values().filter(|order| counts(order.status))
    }

    async fn apply(&mut self, world: &mut World, action: &Action) {
        match action.clone() {
            Action::Order { id, customer, minute, micros, lines, promotion } => {
                let sku = |n: u8| format!("S{n}");
                let lines = lines.iter().map(|(n, units, price)| {
                    let mut line = line((&sku(*n), *units, &pence(*price).to_string(), "0.01"));
                    line.line.list_price += pence(5);
                    line.line.flash_sale_id = (*n >= 8).then(|| FlashSaleId(i64::from(*n)));
                    line.campaign_id = (*n >= 9).then(|| CampaignId(i64::from(*n % 2 + 1)));
                    line
                });
                let name = if customer == 0 { format!("order:{id}") } else { format!("user:{customer}") };
                let mut new = order(id, &name, time(minute, micros), lines.collect());
                new.uses = promotion
                    .into_iter()
                    .map(|(id, in_campaign)| used(id, in_campaign.then_some(id % 2 + 1), "0.01"))
                    .collect();
                self.orders.insert(id, new.clone());
                world.order(new).await;
            }
            Action::Cancel { id } => {
                let Some(order) = self.orders.get_mut(&id) else { return };
                order.status = OrderStatus::Cancelled;
                world.order(order.clone()).await;
            }
            Action::Refund { id, minute, pence: amount } => {
                let Some(order) = self.orders.get_mut(&id) else { return };
                order.refunds.push(FigureRefund { at: time(minute, 0), amount: pence(amount) });
                let revenue = order.totals.subtotal - order.totals.discount;
                order.returned = (order.returned + pence(amount)).min(revenue);
                world.refunded(order.clone()).await;
            }
            Action::Note { id, minute, pence: amount } => {
                self.notes.insert(id, (time(minute, 0), pence(amount)));
                world.note(id, -pence(amount), time(minute, 0)).await;
            }
            Action::Follow => world.follow().await,
            Action::Turn => drop(world.service.follow(&world.cx()).await.unwrap()),
            Action::Abandon(polls) => {
                let cx = world.cx();
                let mut turn = Box::pin(world.service.follow(&cx));
                let mut context = Context::from_waker(Waker::noop());
                let _ = (0..polls).any(|_| turn.as_mut().poll(&mut context).is_ready());
            }
            Action::Rebuild => drop(world.call(Rebuild {}).await.unwrap()),
            Action::Restart => world.restart(),
            Action::Sweep => {
                world.advance(Duration::from_secs(61));
                world.service.jobs().pop().unwrap().run(world.cx()).await.unwrap();
            }
        }
    }

    /// The first order of each customer.
    fn firsts(&self) -> BTreeMap<&str, (Timestamp, i64)> {
        let mut firsts = BTreeMap::new();
        for order in self.counted().filter(|order| !order.customer.starts_with("order:")) {
            let own = (order.placed_at, order.id.0);
            let first = firsts.entry(order.customer.as_str()).or_insert(own);
            *first = (*first).min(own);
        }
        firsts
    }
}

/// The figures of a period.
#[derive(Debug, PartialEq)]
struct PeriodSums {
    orders: i64,
    items: i64,
    revenue: Amount,
    refunds: Amount,
    returned: Amount,
    new: i64,
    returning: i64,
    products: BTreeMap<String, (i64, i64, Amount)>,
    promotions: BTreeMap<i64, (i64, i64, Amount, Amount)>,
    campaigns: BTreeMap<i64, (i64, i64, Amount)>,
}

impl PeriodSums {
    /// Computes the figures from all orders of the model.
    fn of(model: &Model, period: Period) -> Self {
        let within = |at: Timestamp| period.from <= at && at < period.to;
        let orders: Vec<&OrderFigure> = model.counted().filter(|order| within(order.placed_at)).collect();
        let goods = |order: &OrderFigure| order.totals.subtotal - order.totals.discount;
        let firsts = model.firsts();
        let buyers: BTreeSet<&str> =
            orders.iter().map(|order| order.customer.as_str()).filter(|name| firsts.contains_key(name)).collect();
        let is_new = |name: &&&str| within(firsts[**name].0);
        let new = buyers.iter().filter(is_new).count();
        let refunds = model
            .orders
            .values()
            .flat_map(|order| &order.refunds)
            .filter(|refund| within(refund.at))
            .map(|refund| refund.amount);
        let notes = model.notes.values().filter(|(at, _)| within(*at)).map(|(_, sum)| *sum);
        let mut sums = Self {
            orders: i64::try_from(orders.len()).unwrap(),
            items: orders.iter().flat_map(|order| &order.lines).map(|line| i64::from(line.line.quantity)).sum(),
            revenue: orders.iter().map(|order| goods(order)).sum(),
            refunds: refunds.chain(notes).sum(),
            returned: orders.iter().map(|order| order.returned).sum(),
            new: i64::try_from(new).unwrap(),
            returning: i64::try_from(buyers.len() - new).unwrap(),
            products: BTreeMap::new(),
            promotions: BTreeMap::new(),
            campaigns: BTreeMap::new(),
        };
        for order in orders {
            sums.count(order, goods(order), &firsts);
        }
        sums
    }

    fn count(&mut self, order: &OrderFigure, goods: Amount, firsts: &BTreeMap<&str, (Timestamp, i64)>) {
        let mut seen = BTreeSet::new();
        for FigureLine { line, .. } in &order.lines {
            let (orders, units, sum) = self.products.entry(line.sku.fold()).or_default();
            *orders += i64::from(seen.insert(line.sku.fold()));
            *units += i64::from(line.quantity);
            *sum += line.subtotal - line.discount;
        }
        let own = firsts.get(order.customer.as_str()) == Some(&(order.placed_at, order.id.0));
        let mut campaigns = BTreeMap::<i64, (i64, Amount)>::new();
        for it in &order.uses {
            let (orders, new, revenue, sum) = self.promotions.entry(it.promotion_id.0).or_default();
            (*orders, *new, *revenue, *sum) = (*orders + 1, *new + i64::from(own), *revenue + goods, *sum + it.cost);
            if let Some(campaign) = it.campaign_id {
                let (uses, sum) = campaigns.entry(campaign.0).or_default();
                (*uses, *sum) = (*uses + 1, *sum + it.cost);
            }
        }
        let sales = order
            .lines
            .iter()
            .filter_map(|line| Some((line.line.flash_sale_id?.0, line.campaign_id?.0, line.line.quantity)));
        let mut seen = BTreeSet::new();
        for (sale, campaign, units) in sales {
            let (uses, sum) = campaigns.entry(campaign).or_default();
            *uses += i64::from(seen.insert(sale));
            *sum += pence(5 * i64::from(units));
        }
        for (id, (uses, cost)) in campaigns {
            let (orders, redemptions, sum) = self.campaigns.entry(id).or_default();
            (*orders, *redemptions, *sum) = (*orders + 1, *redemptions + uses, *sum + cost);
        }
    }

    /// Reads the figures from the service.
    async fn read(world: &World, period: Period) -> Self {
        let wanted = Wanted { buyers: true, products: true, promotions: true, campaigns: true, flash_sales: true };
        let sums = world.service.sum(period, wanted).await.unwrap();
        let mut products = BTreeMap::new();
        for (number, totals) in sums.products.iter() {
            let sold = sums.products.sold(totals);
            let row = world.db.read(|tx| tx.get::<crate::records::NumberedSku>(&number)).await.unwrap().unwrap();
            products.insert(row.sku.fold(), (sold.orders, sold.units, sold.revenue));
        }
        Self {
            orders: sums.measures.orders,
            items: sums.measures.items,
            revenue: sums.measures.revenue,
            refunds: sums.measures.refunds,
            returned: sums.measures.returned,
            new: sums.measures.new_customers,
            returning: sums.returning_customers(),
            products,
            promotions: sums
                .promotions
                .iter()
                .map(|(id, it)| (*id, (it.orders, it.new_customers, it.revenue, it.cost)))
                .collect(),
            campaigns: sums.campaigns.iter().map(|(id, it)| (*id, (it.orders, it.redemptions, it.cost))).collect(),
        }
    }
}

/// Reports the figures of orders, payments and credit notes to the audit, as the other services do.
fn report_others(model: &Model, report: &mut promox_storage::Report) {
    for order in model.counted() {
        report.left(COUNTED, order.id, counted(order.totals.subtotal - order.totals.discount, order.returned));
        let sold = shares(order.lines.iter().filter_map(|FigureLine { line, campaign_id }| {
            Some(((*campaign_id)?.0, below_list(line.list_price, line.unit_price, line.quantity)))
        }));
        if !sold.is_empty() {
            report.left(FLASH_SALES, order.id, sold);
        }
    }
    for (id, (_, sum)) in &model.notes {
        report.left(CREDITED, *id, (-*sum).0.normalize());
    }
    for order in model.orders.values().filter(|order| !order.refunds.is_empty()) {
        let sum: Amount = order.refunds.iter().map(|refund| refund.amount).sum();
        report.left(REFUNDED, order.id, sum.0.normalize());
    }
}

/// Applies actions and compares the figures of periods with the model, before and after a rebuild.
async fn check(actions: &[Action], ends: &[(u32, u32, i64)]) {
    let (mut world, mut model) = (World::new(), Model::default());
    for action in actions {
        model.apply(&mut world, action).await;
        if matches!(action, Action::Turn | Action::Abandon(_) | Action::Sweep | Action::Restart) {
            assert_eq!(world.findings_with(|report| report_others(&model, report)), [], "{action:?}");
        }
    }
    assert_eq!(
        world.findings_with(|report| report_others(&model, report)),
        [],
        "orders in events that are not followed yet may differ"
    );
    world.follow().await;
    assert_eq!(world.findings_with(|report| report_others(&model, report)), []);
    let mut periods: Vec<Period> =
        ends.iter().map(|(a, b, micros)| Period { from: time(*a.min(b), *micros), to: time(*a.max(b), 2) }).collect();
    periods.push(Period { from: at("1970-01-01T00:00:00Z"), to: at("2100-01-01T00:00:00Z") });
    for period in periods.into_iter().filter(|period| period.from < period.to) {
        assert_eq!(PeriodSums::read(&world, period).await, PeriodSums::of(&model, period), "{period:?}");
    }
    let current = async || world.call(GetState {}).await.unwrap().current.unwrap().generation;
    let shown = current().await;
    let before = rows(&world, shown);
    world.call(Rebuild {}).await.unwrap();
    world.follow().await;
    assert_ne!(current().await, shown);
    assert_eq!(rows(&world, current().await), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn figures_are_the_naive_sums(
        actions in prop::collection::vec(action(), 1..60),
        ends in prop::collection::vec((0..MINUTES, 0..MINUTES, 0_i64..3), 1..6),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(&actions, &ends));
    }
}
