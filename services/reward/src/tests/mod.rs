//! Rewards on the memory engine, each scenario closed by the auditor.

mod accounts;
mod achieving;
mod books;
mod model;
mod offers;
mod ordering;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::coupon::{IssueCoupon, IssuedCoupon};
use promox_contract::ids::OrderId;
use promox_contract::order::{FirstPaid, FirstPaidOrder, OrderCancelled, OrderConfirmed, OrderFact, OrderReturned};
use promox_contract::promotion::{DescribePromotions, PromotionDescription, PromotionDescriptions};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_contract::store::{AmountsPledged, PledgeAmounts, StoreFacts, StoreProfile};
use promox_contract::user::{BirthdayPage, BornOn, DescribeUsers, UserDescription, UserDescriptions};
use promox_kernel::{
    Amount, Clock, Content, Currency, Cx, Entropy, Error, Fact, Handle, Node, Op, Principal, Registry, Reply,
    Timestamp, UserId, bind_json,
};
use promox_storage::{ConsumerLoop, Database, Db, MemoryEngine, Report, Service, Tx};
use serde_json::{Value, json};

use crate::api::{AdjustPoints, GetAccount, ListTransactions, PatchRewardSettings, PutTiers};
use crate::{RewardSettings, Rewards};

/// The other services as far as this one asks them: accounts 1 to 99 are there, and promotions 1 to 9.
#[derive(Default)]
struct Others {
    /// What making a coupon is answered, if not with one.
    coupons_fail: Mutex<Option<Error>>,
    /// Coupons by reference.
    coupons: Mutex<Vec<String>>,
    /// Days of birth, `MM-DD`.
    born: Mutex<Vec<(UserId, &'static str)>>,
    /// Each account's first order that was paid and kept.
    paid: Mutex<Vec<(UserId, FirstPaid)>>,
}

impl Handle<FirstPaidOrder> for Others {
    async fn handle(&self, _: &Cx, op: FirstPaidOrder) -> Result<FirstPaid, Error> {
        let paid = self.paid.lock();
        Ok(paid.iter().find(|(user, _)| *user == op.user_id).map(|(_, first)| first.clone()).unwrap_or_default())
    }
}

impl Handle<StoreProfile> for Others {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        let timezone = "Europe/London".to_owned();
        Ok(StoreFacts {
            name: "Shop".into(),
            currency: Currency::GBP,
            timezone,
            locale: "en".into(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<PledgeAmounts> for Others {
    async fn handle(&self, _: &Cx, _: PledgeAmounts) -> Result<AmountsPledged, Error> {
        Ok(AmountsPledged { pending: false })
    }
}

impl Handle<DescribeUsers> for Others {
    async fn handle(&self, cx: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        let describe = |id: UserId| UserDescription {
            id,
            email: format!("user{id}@example.com").parse().unwrap(),
            name: None,
            registered_at: cx.now,
            attributes: std::collections::BTreeMap::new(),
        };
        Ok(UserDescriptions { items: op.ids.into_iter().filter(|id| id.0 < 100).map(describe).collect() })
    }
}

impl Handle<DescribePromotions> for Others {
    async fn handle(&self, _: &Cx, op: DescribePromotions) -> Result<PromotionDescriptions, Error> {
        let known = op.ids.into_iter().filter(|id| id.0 < 10);
        let items = known.map(|id| PromotionDescription { id, name: "P".into(), campaign_id: None });
        Ok(PromotionDescriptions { items: items.collect() })
    }
}

impl Handle<IssueCoupon> for Others {
    async fn handle(&self, _: &Cx, op: IssueCoupon) -> Result<IssuedCoupon, Error> {
        if let Some(error) = self.coupons_fail.lock().clone() {
            return Err(error);
        }
        let mut coupons = self.coupons.lock();
        if !coupons.contains(&op.reference) {
            coupons.push(op.reference.clone());
        }
        Ok(IssuedCoupon { code: format!("CODE-{}", op.reference) })
    }
}

impl Handle<BornOn> for Others {
    async fn handle(&self, _: &Cx, op: BornOn) -> Result<BirthdayPage, Error> {
        // One account a page, so that pages are turned.
        let born = self.born.lock();
        let after = op.after.map_or(0, |after| after.0);
        let next = born.iter().find(|(user, _)| user.0 > after);
        let celebrates = next.filter(|(_, day)| op.days.iter().any(|asked| asked == day));
        let more = next.filter(|(user, _)| born.iter().any(|(other, _)| other > user));
        Ok(BirthdayPage { user_ids: celebrates.iter().map(|it| it.0).collect(), next: more.map(|it| it.0) })
    }
}

/// A node with the reward service whole. It is Monday, 23 November 2026, noon.
struct Shop {
    node: Arc<Node>,
    db: Db,
    orders: Db,
    rewards: Arc<Rewards>,
    others: Arc<Others>,
    following: ConsumerLoop,
    counting: ConsumerLoop,
}

impl Shop {
    fn open() -> Self {
        let engine = MemoryEngine::new();
        let (db, orders) = (engine.database(Database::Promox), engine.database(Database::Ecommerce));
        let noon = "2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap();
        let node = Node::new(Clock::manual(noon), Entropy::seeded(1));
        let (rewards, others) = (Rewards::new(db.clone()), Arc::<Others>::default());
        let mut registry = Registry::default();
        rewards.register(&mut registry);
        promox_kernel::register!(registry, &others;
            StoreProfile, PledgeAmounts, DescribeUsers, DescribePromotions, IssueCoupon, BornOn, FirstPaidOrder);
        node.install(registry);
        let following = ConsumerLoop::new(rewards.consumers().remove(0), orders.clone(), db.clone());
        let counting = ConsumerLoop::new(rewards.consumers().remove(1), db.clone(), db.clone());
        Self { node, db, orders, rewards, others, following, counting }
    }

    /// A shop where points are worth a penny, with some more settings.
    async fn with(settings: Value) -> Self {
        let shop = Self::open();
        shop.set(settings).await;
        shop
    }

    async fn set(&self, settings: Value) {
        let mut body = json!({"pointValue": "0.01"});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.staff::<PatchRewardSettings>(body).await.unwrap();
    }

    /// Tiers at so many points each, earning 1, 1.5, 2, 3 and 4.
    async fn ladder(&self, thresholds: [u32; 5]) {
        let names = ["BRONZE", "SILVER", "GOLD", "PLATINUM", "DIAMOND"];
        let steps = names.iter().zip(thresholds).zip(["1", "1.5", "2", "3", "4"]);
        let steps: Vec<Value> = steps
            .map(|((tier, threshold), by)| json!({"tier": tier, "threshold": threshold, "multiplier": by}))
            .collect();
        self.staff::<PutTiers>(json!({ "tiers": steps })).await.unwrap();
    }

    fn cx(&self, user: i64, permissions: &[&str]) -> Cx {
        let permissions = Arc::new(permissions.iter().map(|it| (*it).to_owned()).collect());
        let principal = Principal::User { id: UserId(user), session: 1, permissions };
        Cx { principal, ..Cx::system(&self.node, "test", Duration::from_secs(60)) }
    }

    /// Asks as staff, account 1, in JSON.
    async fn staff<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask::<O>(self.cx(1, &["reward:read", "reward:write"]), json).await
    }

    /// Asks as a customer.
    async fn user<O: Op>(&self, user: i64, json: Value) -> Result<Value, Error> {
        self.ask::<O>(self.cx(user, &[]), json).await
    }

    async fn ask<O: Op>(&self, cx: Cx, json: Value) -> Result<Value, Error> {
        O::ACCESS.check(&cx)?;
        let op: O = bind_json(json.to_string().as_bytes())?;
        match self.node.registry()?.call(cx, op).await?.respond(O::STATUS)?.content {
            Content::Json(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            _ => Ok(Value::Null),
        }
    }

    async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.cx(1, &[]).call(op).await
    }

    /// Tells something of the shop, and lets rewards follow.
    async fn told<F: Fact + Clone + Sync>(&mut self, fact: F) {
        let cx = self.cx(1, &[]);
        self.orders.write(&cx, move |tx| tx.emit(1, &fact)).await.unwrap();
        while self.following.turn(&self.node).await.unwrap() {}
    }

    /// Tells something of the promotion engine of a number; it is followed by [`Self::count`].
    async fn happened<F: Fact + Clone + Sync>(&self, of: i64, fact: F) {
        let cx = self.cx(1, &[]);
        self.db.write(&cx, move |tx| tx.emit(of, &fact)).await.unwrap();
    }

    /// Lets achievements follow the promotion engine.
    async fn count(&mut self) {
        while self.counting.turn(&self.node).await.unwrap() {}
    }

    async fn hold(&self, order: i64, user: i64, points: u32) -> Result<(), Error> {
        self.call(HoldPoints { order_id: OrderId(order), user_id: UserId(user), points }).await
    }

    async fn release(&self, order: i64) {
        self.call(ReleasePoints { order_id: OrderId(order) }).await.unwrap();
    }

    async fn confirmed(&mut self, order: i64, user: i64, earned: i64) {
        self.told(OrderConfirmed(fact(order, user, earned))).await;
    }

    /// Says what is the first order that an account paid and kept; 0 for none.
    fn paid(&self, order: i64, user: i64) {
        let order_id = (order > 0).then_some(OrderId(order));
        let mut paid = self.others.paid.lock();
        paid.retain(|(known, _)| known.0 != user);
        paid.push((UserId(user), FirstPaid { order_id, by_account: true, of_referrer: false }));
    }

    async fn cancelled(&mut self, order: i64, user: i64) {
        self.told(OrderCancelled(fact(order, user, 0))).await;
        self.release(order).await;
    }

    /// Goods for so much of 100.00 have come back, the last of them with so many points.
    async fn returned(&mut self, order: i64, user: i64, returned: i64, points: i64) {
        let money = |units: i64| Currency::GBP.round(rust_decimal::Decimal::from(units));
        self.told(OrderReturned {
            order_id: OrderId(order),
            return_id: returned,
            user_id: Some(UserId(user)),
            refund: money(0),
            voided: money(0),
            currency: Currency::GBP,
            points,
            returned: money(returned),
            whole: money(100),
        })
        .await;
    }

    async fn adjust(&self, user: i64, points: i64) -> Result<Value, Error> {
        self.staff::<AdjustPoints>(json!({"id": user, "points": points, "reason": "a test"})).await
    }

    async fn account(&self, user: i64) -> Value {
        self.user::<GetAccount>(user, json!({ "id": user })).await.unwrap()
    }

    /// Balance and pending points.
    async fn has(&self, user: i64) -> (i64, i64) {
        let account = self.account(user).await;
        (account["balance"].as_i64().unwrap(), account["pending"].as_i64().unwrap())
    }

    /// Types and points of a user's entries, oldest first.
    async fn entries(&self, user: i64) -> Vec<(String, i64)> {
        let page = self.user::<ListTransactions>(user, json!({"id": user, "limit": 200})).await.unwrap();
        let items = page["items"].as_array().unwrap().iter().rev();
        items.map(|it| (it["type"].as_str().unwrap().to_owned(), it["points"].as_i64().unwrap())).collect()
    }

    /// Lets time pass, and the jobs follow it.
    async fn pass(&self, days: u64) {
        self.node.clock.advance(Duration::from_hours(24 * days));
        self.run_jobs().await;
    }

    async fn run_jobs(&self) {
        for job in self.rewards.jobs() {
            while job.run(Cx::system(&self.node, "job", Duration::from_secs(60))).await.unwrap() {}
        }
    }

    /// What was told of a user.
    async fn events(&self, user: i64) -> Vec<String> {
        let events = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        let of_user = events.into_iter().filter(|event| event.topic == "reward" && event.aggregate_id == user);
        of_user.map(|event| event.kind).collect()
    }

    /// What the auditor finds; what the orders would state is stated for them.
    fn findings(&self) -> Vec<String> {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        for table in Rewards::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        let tx = Tx::unbounded(&*reader, Rewards::DATABASE);
        for order in 0..200_i64 {
            report.open(promox_contract::reward::SPENT, order);
            report.open(promox_contract::reward::EARNED, order);
        }
        self.rewards.audit(&tx, &mut report).unwrap();
        tx.audit_outbox(&mut report).unwrap();
        let (findings, checked) = report.finish();
        assert!(checked > 0);
        findings.into_iter().map(|finding| format!("{}: {}", finding.invariant, finding.detail)).collect()
    }

    fn verify(&self) {
        assert_eq!(self.findings(), Vec::<String>::new());
    }
}

fn fact(order: i64, user: i64, earned: i64) -> OrderFact {
    OrderFact {
        order_id: OrderId(order),
        user_id: Some(UserId(user)),
        total: "100.00".parse().unwrap(),
        currency: Currency::GBP,
        points_multiplier: None,
        points_redeemed: 0,
        points_earned: earned,
    }
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().to_owned()
}

fn pointers(result: Result<Value, Error>) -> Vec<String> {
    result.unwrap_err().errors().iter().map(|fault| fault.pointer.clone()).collect()
}

fn entry(kind: &str, points: i64) -> (String, i64) {
    (kind.to_owned(), points)
}

#[tokio::test]
async fn a_new_store_earns_one_point_a_unit_that_is_worth_nothing() {
    let shop = Shop::open();
    let settings = shop.staff::<crate::api::GetRewardSettings>(json!({})).await.unwrap();
    assert_eq!(settings["pointsPerUnit"], "1");
    assert_eq!(settings["pointValue"], Value::Null);
    assert_eq!(serde_json::to_value(RewardSettings::default()).unwrap(), settings);
    let asked =
        promox_contract::reward::PointsFor { user_id: UserId(7), base: amount("19.99"), multiplier: amount("1") };
    assert_eq!(shop.call(asked).await.unwrap().points, 19);
    shop.verify();
}
