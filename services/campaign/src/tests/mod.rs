//! Tests on the memory engine. Scenarios end with the auditor.

mod budgets;
mod segments;
mod transitions;

use std::ops::Deref;
use std::time::Duration;

use promox_contract::ids::PromotionId;
use promox_contract::order::{GetPurchaseTotals, PurchaseTotals};
use promox_contract::promotion::{FindReferencingPromotion, ReferencingPromotion};
use promox_contract::reward::{GetTier, TierName};
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescriptions};
use promox_kernel::{Currency, Cx, Error, Op, UserId};
use promox_testkit::sample::store_profile;
use promox_testkit::{Harness, Setup};
use serde_json::{Value, json};

use crate::{Campaigns, CreateCampaign, GetCampaign, MoveCampaign};

/// A node with only the campaign service. The time is noon on Monday, 23 November 2026.
struct Shop(Harness<Campaigns>);

impl Deref for Shop {
    type Target = Harness<Campaigns>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Shop {
    /// A shop in which account 20 has four orders, everyone is GOLD, and promotion 3 refers to the segment NAMED.
    fn open() -> Self {
        let harness = Setup::at("2026-11-23T12:00:00Z")
            .answer(|_, _: GetStoreProfile| {
                Ok(StoreProfile { timezone: "Europe/London".to_owned(), ..store_profile() })
            })
            .answer(|_, op: GetPurchaseTotals| {
                let count = if op.buyer.user_id == Some(UserId(20)) { 4 } else { 0 };
                Ok(PurchaseTotals { count, total: Currency::GBP.zero() })
            })
            .answer(|_, _: GetTier| Ok(TierName { tier: "GOLD".to_owned() }))
            .answer(|_, op: FindReferencingPromotion| {
                let named = op.segment.as_deref() == Some("NAMED");
                Ok(ReferencingPromotion { promotion_id: named.then_some(PromotionId(3)) })
            })
            .answer(|_, _: DescribeUsers| Ok(UserDescriptions { items: Vec::new() }))
            .shared(&[promox_contract::campaign::BUDGETED])
            .start(|databases| Campaigns::new(databases.promox.clone()));
        Self(harness)
    }

    /// A member of staff, account 1.
    fn staff(&self) -> Cx {
        self.member(1, &["campaign:write"])
    }

    /// Sends a request in JSON as staff.
    async fn ask<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.staff(), json).await
    }

    /// Creates a campaign with these members and returns its id.
    async fn create(&self, members: Value) -> i64 {
        let mut body = json!({"name": "Sale"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.ask::<CreateCampaign>(body).await.unwrap()["id"].as_i64().unwrap()
    }

    async fn change_status(&self, id: i64, to: &str) -> Result<Value, Error> {
        self.ask::<MoveCampaign>(json!({"id": id, "to": to})).await
    }

    async fn status(&self, id: i64) -> String {
        self.ask::<GetCampaign>(json!({ "id": id })).await.unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// Advances the clock and runs the job until nothing is due.
    async fn pass_hours(&self, hours: u64) {
        self.advance_and_work(Duration::from_hours(hours)).await;
    }

    /// The type and campaign of each event.
    async fn campaign_events(&self) -> Vec<(String, i64)> {
        let events = self.events().await.into_iter().filter(|event| event.topic == "campaign");
        events.map(|event| (event.kind, event.aggregate_id)).collect()
    }
}
