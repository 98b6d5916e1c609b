//! Tests of the reward service on the memory engine. Each scenario ends with an audit.

mod accounts;
mod achievements;
mod audit;
mod model;
mod offers;
mod orders;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::coupon::{IssueCoupon, IssuedCoupon};
use promox_contract::ids::OrderId;
use promox_contract::order::{
    FindFirstPaidOrder, FirstPaidOrder, OrderCancelled, OrderConfirmed, OrderFact, OrderReturned,
};
use promox_contract::promotion::{DescribePromotions, PromotionDescription, PromotionDescriptions};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::{BirthdayPage, DescribeUsers, ListBirthdays, UserDescription, UserDescriptions};
use promox_kernel::{Currency, Cx, Error, Fact, Op, UserId};
use promox_storage::Database;
use promox_testkit::sample::{amount, order_fact, store_profile, user_description};
use promox_testkit::{Harness, Setup, code, pointers};
use serde_json::{Value, json};

use crate::api::{AdjustPoints, GetAccount, ListTransactions, PatchRewardSettings, PutTiers};
use crate::{RewardSettings, Rewards};

/// The data of the other services.
#[derive(Default)]
struct Neighbours {
    /// The error that issuing a coupon returns, if any.
    coupons_fail: Mutex<Option<Error>>,
    /// Coupons by reference.
    coupons: Mutex<Vec<String>>,
    /// Birthdays, `MM-DD`.
    birthdays: Mutex<Vec<(UserId, &'static str)>>,
    /// The first order of each account that was paid and kept.
    first_paid_orders: Mutex<Vec<(UserId, FirstPaidOrder)>>,
}

#[allow(clippy::unnecessary_wraps, reason = "the harness expects handlers that return a result")]
impl Neighbours {
    fn find_first_paid(&self, _: &Cx, op: FindFirstPaidOrder) -> Result<FirstPaidOrder, Error> {
        let paid = self.first_paid_orders.lock();
        Ok(paid.iter().find(|(user, _)| *user == op.user_id).map(|(_, first)| first.clone()).unwrap_or_default())
    }

    fn issue_coupon(&self, _: &Cx, op: IssueCoupon) -> Result<IssuedCoupon, Error> {
        if let Some(error) = self.coupons_fail.lock().clone() {
            return Err(error);
        }
        let mut coupons = self.coupons.lock();
        if !coupons.contains(&op.reference) {
            coupons.push(op.reference.clone());
        }
        Ok(IssuedCoupon { code: format!("CODE-{}", op.reference) })
    }

    fn list_birthdays(&self, _: &Cx, op: ListBirthdays) -> Result<BirthdayPage, Error> {
        // Each page has one account, so that paging is tested.
        let birthdays = self.birthdays.lock();
        let after = op.after.map_or(0, |after| after.0);
        let next = birthdays.iter().find(|(user, _)| user.0 > after);
        let with_birthday = next.filter(|(_, day)| op.days.iter().any(|requested| requested == day));
        let more = next.filter(|(user, _)| birthdays.iter().any(|(other, _)| other > user));
        Ok(BirthdayPage { user_ids: with_birthday.iter().map(|user| user.0).collect(), next: more.map(|user| user.0) })
    }
}

/// A node with only the reward service. The clock starts at noon on Monday, 23 November 2026.
struct Shop {
    harness: Harness<Rewards>,
    neighbours: Arc<Neighbours>,
}

impl Deref for Shop {
    type Target = Harness<Rewards>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Shop {
    /// A shop with accounts 1 to 99 and promotions 1 to 9.
    fn open() -> Self {
        let neighbours = Arc::<Neighbours>::default();
        let harness = Setup::at("2026-11-23T12:00:00Z")
            .answer(|_, _: GetStoreProfile| {
                Ok(StoreProfile { timezone: "Europe/London".to_owned(), ..store_profile() })
            })
            .answer(|cx, op: DescribeUsers| {
                let known = op.ids.into_iter().filter(|id| id.0 < 100);
                let describe = |id| UserDescription { registered_at: cx.now, ..user_description(id) };
                Ok(UserDescriptions { items: known.map(describe).collect() })
            })
            .answer(|_, op: DescribePromotions| {
                let known = op.ids.into_iter().filter(|id| id.0 < 10);
                let describe = |id| PromotionDescription { id, name: "P".into(), campaign_id: None };
                Ok(PromotionDescriptions { items: known.map(describe).collect() })
            })
            .answer_from(&neighbours, Neighbours::find_first_paid)
            .answer_from(&neighbours, Neighbours::issue_coupon)
            .answer_from(&neighbours, Neighbours::list_birthdays)
            .start(|databases| Rewards::new(databases.promox.clone()));
        Self { harness, neighbours }
    }

    /// A shop where a point is worth a penny, with further settings.
    async fn with(settings: Value) -> Self {
        let shop = Self::open();
        shop.patch_settings(settings).await;
        shop
    }

    async fn patch_settings(&self, settings: Value) {
        let mut body = json!({"pointValue": "0.01"});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.staff::<PatchRewardSettings>(body).await.unwrap();
    }

    /// Sets tiers with these thresholds and the multipliers 1, 1.5, 2, 3 and 4.
    async fn set_tiers(&self, thresholds: [u32; 5]) {
        let names = ["BRONZE", "SILVER", "GOLD", "PLATINUM", "DIAMOND"];
        let steps = names.iter().zip(thresholds).zip(["1", "1.5", "2", "3", "4"]);
        let steps: Vec<Value> = steps
            .map(|((tier, threshold), by)| json!({"tier": tier, "threshold": threshold, "multiplier": by}))
            .collect();
        self.staff::<PutTiers>(json!({ "tiers": steps })).await.unwrap();
    }

    /// Sends a JSON request as staff, account 1.
    async fn staff<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.member(1, &["reward:read", "reward:write"]), json).await
    }

    /// Sends a JSON request as a customer.
    async fn customer<O: Op>(&self, user: i64, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.user(user), json).await
    }

    /// Writes an event to the shop's log and runs its consumer.
    async fn follow<F: Fact + Clone + Sync>(&self, fact: F) {
        self.emit(Database::Ecommerce, 1, fact).await;
        self.consume_from(Database::Ecommerce).await;
    }

    /// Writes an event to the promotion engine's log; [`Self::count`] applies it.
    async fn promotion_event<F: Fact + Clone + Sync>(&self, aggregate: i64, fact: F) {
        self.emit(Database::Promox, aggregate, fact).await;
    }

    /// Runs the consumer of the promotion engine's events.
    async fn count(&self) {
        self.consume_from(Database::Promox).await;
    }

    async fn hold(&self, order: i64, user: i64, points: u32) -> Result<(), Error> {
        self.call(HoldPoints { order_id: OrderId(order), user_id: UserId(user), points }).await
    }

    async fn release(&self, order: i64) {
        self.call(ReleasePoints { order_id: OrderId(order) }).await.unwrap();
    }

    async fn confirmed(&self, order: i64, user: i64, earned: i64) {
        self.follow(OrderConfirmed(fact(order, user, earned))).await;
    }

    /// Sets the first order that an account has paid and kept; 0 for none.
    fn set_first_paid(&self, order: i64, user: i64) {
        let order_id = (order > 0).then_some(OrderId(order));
        let mut paid = self.neighbours.first_paid_orders.lock();
        paid.retain(|(known, _)| known.0 != user);
        paid.push((UserId(user), FirstPaidOrder { order_id, by_account: true, of_referrer: false }));
    }

    async fn cancelled(&self, order: i64, user: i64) {
        self.follow(OrderCancelled(fact(order, user, 0))).await;
        self.release(order).await;
    }

    /// Returns goods: the total returned so far, of 100.00, and the points that this return restores.
    async fn returned(&self, order: i64, user: i64, returned: i64, points: i64) {
        let money = |units: i64| Currency::GBP.round(rust_decimal::Decimal::from(units));
        self.follow(OrderReturned {
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
        self.customer::<GetAccount>(user, json!({ "id": user })).await.unwrap()
    }

    /// Returns the balance and the pending points.
    async fn points(&self, user: i64) -> (i64, i64) {
        let account = self.account(user).await;
        (account["balance"].as_i64().unwrap(), account["pending"].as_i64().unwrap())
    }

    /// Returns the types and points of a user's entries, oldest first.
    async fn entries(&self, user: i64) -> Vec<(String, i64)> {
        let page = self.customer::<ListTransactions>(user, json!({"id": user, "limit": 200})).await.unwrap();
        let items = page["items"].as_array().unwrap().iter().rev();
        items.map(|item| (item["type"].as_str().unwrap().to_owned(), item["points"].as_i64().unwrap())).collect()
    }

    /// Advances the clock and runs the jobs until nothing is due.
    async fn pass_days(&self, days: u64) {
        self.advance_and_work(Duration::from_hours(24 * days)).await;
    }

    /// Returns the types of the events of a user's account.
    async fn account_events(&self, user: i64) -> Vec<String> {
        let events = self.events().await.into_iter();
        let of_user = events.filter(|event| event.topic == "reward" && event.aggregate_id == user);
        of_user.map(|event| event.kind).collect()
    }

    /// Returns the audit's findings, except for those that depend on what the order service reports.
    fn findings(&self) -> Vec<String> {
        let findings = self.findings_with(|report| {
            for order in 0..200_i64 {
                report.open(promox_contract::reward::SPENT, order);
                report.open(promox_contract::reward::EARNED, order);
            }
        });
        findings.into_iter().map(|finding| format!("{}: {}", finding.invariant, finding.detail)).collect()
    }

    fn verify(&self) {
        assert_eq!(self.findings(), Vec::<String>::new());
    }
}

fn fact(order: i64, user: i64, earned: i64) -> OrderFact {
    OrderFact { user_id: Some(UserId(user)), total: amount("100.00"), points_earned: earned, ..order_fact(order) }
}

fn entry(kind: &str, points: i64) -> (String, i64) {
    (kind.to_owned(), points)
}

#[tokio::test]
async fn points_of_a_new_store_have_no_value() {
    let shop = Shop::open();
    let settings = shop.staff::<crate::api::GetRewardSettings>(json!({})).await.unwrap();
    assert_eq!(settings["pointsPerUnit"], "1");
    assert_eq!(settings["pointValue"], Value::Null);
    assert_eq!(serde_json::to_value(RewardSettings::default()).unwrap(), settings);
    let request =
        promox_contract::reward::EstimatePoints { user_id: UserId(7), base: amount("19.99"), multiplier: amount("1") };
    assert_eq!(shop.call(request).await.unwrap().points, 19);
    shop.verify();
}
