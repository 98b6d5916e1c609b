//! Campaigns on the memory engine, each scenario closed by the auditor.

mod budgets;
mod moves;
mod segments;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::flashsale::{ReferringSale, SaleReferring};
use promox_contract::ids::PromotionId;
use promox_contract::order::{Purchases, PurchasesOf};
use promox_contract::promotion::{PromotionReferring, ReferringPromotion};
use promox_contract::reward::{TierName, TierOf};
use promox_contract::store::{AmountsPledged, PledgeAmounts, StoreFacts, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescriptions};
use promox_kernel::{
    Clock, Content, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Reply, Timestamp, UserId,
    bind_json,
};
use promox_storage::{ConsumerLoop, Database, Db, MemoryEngine, Report, Service, Tx};
use serde_json::{Value, json};

use crate::{Campaigns, CreateCampaign, GetCampaign, MoveCampaign};

/// The other services as far as this one asks them: account 20 has four orders, everybody is GOLD, and
/// promotion 3 names the segment NAMED.
struct Store;

impl Handle<StoreProfile> for Store {
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

impl Handle<PledgeAmounts> for Store {
    async fn handle(&self, _: &Cx, _: PledgeAmounts) -> Result<AmountsPledged, Error> {
        Ok(AmountsPledged { pending: false })
    }
}

impl Handle<PurchasesOf> for Store {
    async fn handle(&self, _: &Cx, asked: PurchasesOf) -> Result<Purchases, Error> {
        let count = if asked.buyer.user_id == Some(UserId(20)) { 4 } else { 0 };
        Ok(Purchases { count, total: Currency::GBP.zero() })
    }
}

impl Handle<TierOf> for Store {
    async fn handle(&self, _: &Cx, _: TierOf) -> Result<TierName, Error> {
        Ok(TierName { tier: "GOLD".to_owned() })
    }
}

impl Handle<PromotionReferring> for Store {
    async fn handle(&self, _: &Cx, asked: PromotionReferring) -> Result<ReferringPromotion, Error> {
        let named = asked.segment.as_deref() == Some("NAMED");
        Ok(ReferringPromotion { promotion_id: named.then_some(PromotionId(3)) })
    }
}

impl Handle<SaleReferring> for Store {
    async fn handle(&self, _: &Cx, _: SaleReferring) -> Result<ReferringSale, Error> {
        Ok(ReferringSale::default())
    }
}

impl Handle<DescribeUsers> for Store {
    async fn handle(&self, _: &Cx, _: DescribeUsers) -> Result<UserDescriptions, Error> {
        Ok(UserDescriptions { items: Vec::new() })
    }
}

/// A node with the campaign service whole. It is Monday, 23 November 2026, noon.
struct Shop {
    node: Arc<Node>,
    db: Db,
    orders: Db,
    campaigns: Arc<Campaigns>,
    posting: ConsumerLoop,
}

impl Shop {
    fn open() -> Self {
        let engine = MemoryEngine::new();
        let (db, orders) = (engine.database(Database::Promox), engine.database(Database::Ecommerce));
        let noon = "2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap();
        let node = Node::new(Clock::manual(noon), Entropy::seeded(1));
        let campaigns = Campaigns::new(db.clone());
        let mut registry = Registry::default();
        campaigns.register(&mut registry);
        let store = Arc::new(Store);
        registry.register::<StoreProfile, _>(&store);
        registry.register::<PledgeAmounts, _>(&store);
        registry.register::<PurchasesOf, _>(&store);
        registry.register::<TierOf, _>(&store);
        registry.register::<DescribeUsers, _>(&store);
        registry.register::<PromotionReferring, _>(&store);
        registry.register::<SaleReferring, _>(&store);
        node.install(registry);
        let posting = ConsumerLoop::new(campaigns.consumers().remove(0), orders.clone(), db.clone());
        Self { node, db, orders, campaigns, posting }
    }

    /// A member of staff, account 1.
    fn staff(&self) -> Cx {
        let permissions = Arc::new(["campaign:write".to_owned()].into());
        let principal = Principal::User { id: UserId(1), session: 1, permissions };
        Cx { principal, ..Cx::system(&self.node, "test", Duration::from_secs(60)) }
    }

    /// Asks as staff, in JSON.
    async fn ask<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.staff(), json).await
    }

    async fn ask_as<O: Op>(&self, cx: Cx, json: Value) -> Result<Value, Error> {
        O::ACCESS.check(&cx)?;
        let op: O = bind_json(json.to_string().as_bytes())?;
        match self.node.registry()?.call(cx, op).await?.respond(O::STATUS)?.content {
            Content::Json(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            _ => Ok(Value::Null),
        }
    }

    async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.staff().call(op).await
    }

    /// Makes a campaign with these members; its id.
    async fn create(&self, members: Value) -> i64 {
        let mut body = json!({"name": "Sale"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.ask::<CreateCampaign>(body).await.unwrap()["id"].as_i64().unwrap()
    }

    async fn go(&self, id: i64, to: &str) -> Result<Value, Error> {
        self.ask::<MoveCampaign>(json!({"id": id, "to": to})).await
    }

    async fn status(&self, id: i64) -> String {
        self.ask::<GetCampaign>(json!({ "id": id })).await.unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// Lets time pass, and the job follow it.
    async fn pass(&self, hours: u64) {
        self.node.clock.advance(Duration::from_secs(hours * 3600));
        for job in self.campaigns.jobs() {
            while job.run(Cx::system(&self.node, "job", Duration::from_secs(60))).await.unwrap() {}
        }
    }

    /// What was told, by type and campaign.
    async fn told(&self) -> Vec<(String, i64)> {
        let events = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        let told = events.into_iter().filter(|event| event.topic == "campaign");
        told.map(|event| (event.kind, event.aggregate_id)).collect()
    }

    /// The auditor finds nothing.
    fn verify(&self) {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        for table in Campaigns::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        self.campaigns.audit(&Tx::unbounded(&*reader, Campaigns::DATABASE), &mut report).unwrap();
        // What other services must agree with is for the auditor of a whole node.
        let (mut findings, checked) = report.finish();
        findings.retain(|it| it.invariant != promox_contract::campaign::BUDGETED);
        assert!(findings.is_empty() && checked > 0, "{findings:?}");
    }
}

fn code(result: Result<Value, Error>) -> String {
    result.unwrap_err().code().to_owned()
}

fn pointers(result: Result<Value, Error>) -> Vec<String> {
    result.unwrap_err().errors().iter().map(|fault| fault.pointer.clone()).collect()
}
