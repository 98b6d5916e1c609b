//! Coupons on the memory engine, each scenario closed by the auditor.

mod batches;
mod codes;
mod persons;
mod redeeming;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::ids::{ProductId, PromotionId, VariantId};
use promox_contract::product::{DescribeSkus, SkuDescription, SkuDescriptions};
use promox_contract::promotion::{
    AppliedPromotion, ClaimCodes, DescribePromotions, EvaluateCart, Evaluation, PromotionCodesTaken,
    PromotionDescription, PromotionDescriptions, RejectReason, RejectedPromotion, ReleaseCodes, TakenCodes,
};
use promox_contract::store::{StoreFacts, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescription, UserDescriptions};
use promox_kernel::{
    Amount, Clock, Content, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Reply, Timestamp,
    UserId, bind_json,
};
use promox_storage::{Cache, Database, Db, MemoryEngine, Report, Service, Tx};
use serde_json::Value;

use crate::Coupons;

/// The other services as far as this one asks them: promotions 1 to 3 and accounts below 100 are there, `SUMMER` is promotion 1's code, and every
/// promotion gives 10 %.
struct Others;

fn taken(codes: Vec<String>) -> TakenCodes {
    TakenCodes { taken: codes.into_iter().filter(|code| code == "SUMMER").collect() }
}

impl Handle<PromotionCodesTaken> for Others {
    async fn handle(&self, _: &Cx, asked: PromotionCodesTaken) -> Result<TakenCodes, Error> {
        Ok(taken(asked.codes))
    }
}

impl Handle<ClaimCodes> for Others {
    async fn handle(&self, _: &Cx, asked: ClaimCodes) -> Result<TakenCodes, Error> {
        Ok(taken(asked.codes))
    }
}

impl Handle<ReleaseCodes> for Others {
    async fn handle(&self, _: &Cx, _: ReleaseCodes) -> Result<(), Error> {
        Ok(())
    }
}

impl Handle<DescribePromotions> for Others {
    async fn handle(&self, _: &Cx, asked: DescribePromotions) -> Result<PromotionDescriptions, Error> {
        let known = asked.ids.into_iter().filter(|id| id.0 <= 3);
        let items = known.map(|id| PromotionDescription { id, name: format!("P{id}"), campaign_id: None }).collect();
        Ok(PromotionDescriptions { items })
    }
}

impl Handle<DescribeUsers> for Others {
    async fn handle(&self, _: &Cx, asked: DescribeUsers) -> Result<UserDescriptions, Error> {
        let described = |id: UserId| UserDescription {
            id,
            email: format!("user{id}@example.com").parse().unwrap(),
            name: None,
            attributes: std::collections::BTreeMap::new(),
            registered_at: Timestamp::EPOCH,
        };
        Ok(UserDescriptions { items: asked.ids.into_iter().filter(|id| id.0 < 100).map(described).collect() })
    }
}

impl Handle<StoreProfile> for Others {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        Ok(StoreFacts {
            name: "Shop".into(),
            currency: Currency::GBP,
            timezone: "UTC".into(),
            locale: "en".into(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<DescribeSkus> for Others {
    async fn handle(&self, _: &Cx, asked: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let price: Amount = "10.00".parse().unwrap();
        let describe = |sku| SkuDescription {
            variant_id: VariantId(1),
            sku,
            former_skus: Vec::new(),
            product_id: ProductId(1),
            name: "Thing".into(),
            price,
            list_price: price,
            currency: Currency::GBP,
            category_ids: Vec::new(),
            attributes: std::collections::BTreeMap::new(),
            tax_class: "STANDARD".into(),
            weight_grams: None,
            discountable: true,
            floor_price: None,
            cost: None,
        };
        Ok(SkuDescriptions { items: asked.skus.into_iter().filter(|sku| sku.fold() == "a").map(describe).collect() })
    }
}

impl Handle<EvaluateCart> for Others {
    async fn handle(&self, _: &Cx, cart: EvaluateCart) -> Result<Evaluation, Error> {
        let sum: Amount = cart.lines.iter().filter_map(|line| line.item.price.times(line.quantity.into())).sum();
        let amount = Currency::GBP.round(sum.0 / "10".parse::<Amount>().unwrap().0);
        let mut evaluation = Evaluation::default();
        for code in cart.codes {
            match cart.coupons.iter().find(|coupon| coupon.code == code) {
                Some(coupon) => evaluation.applied.push(AppliedPromotion {
                    promotion_id: coupon.promotion_id,
                    name: "10 %".into(),
                    code: None,
                    coupon_code: Some(code),
                    amount,
                    shipping_amount: Amount::ZERO,
                }),
                None => evaluation.rejected.push(RejectedPromotion {
                    promotion_id: None,
                    code: Some(code),
                    reason: RejectReason::Unknown,
                    details: Vec::new(),
                }),
            }
        }
        Ok(evaluation)
    }
}

/// A node with the coupon service whole.
struct Shop {
    node: Arc<Node>,
    db: Db,
    coupons: Arc<Coupons>,
}

impl Shop {
    fn open() -> Self {
        Self::over(MemoryEngine::new().database(Database::Promox))
    }

    /// Starts the service over what is in the store.
    fn over(db: Db) -> Self {
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_800_000_000)), Entropy::seeded(1));
        let coupons = Coupons::new(db.clone(), Cache::in_memory(), true);
        let others = Arc::new(Others);
        let mut registry = Registry::default();
        coupons.register(&mut registry);
        registry.register::<ClaimCodes, _>(&others);
        registry.register::<PromotionCodesTaken, _>(&others);
        registry.register::<ReleaseCodes, _>(&others);
        registry.register::<DescribePromotions, _>(&others);
        registry.register::<StoreProfile, _>(&others);
        registry.register::<DescribeUsers, _>(&others);
        registry.register::<DescribeSkus, _>(&others);
        registry.register::<EvaluateCart, _>(&others);
        node.install(registry);
        Self { node, db, coupons }
    }

    fn staff(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(60))
    }

    fn visitor(&self) -> Cx {
        Cx { principal: Principal::Anonymous, ..self.staff() }
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

    /// Lets the jobs run until they have nothing to do.
    async fn settle(&self) {
        for job in self.coupons.jobs() {
            while job.run(self.staff()).await.unwrap() {}
        }
    }

    /// The data of the events told so far, of one type.
    async fn told(&self, kind: &str) -> Vec<Value> {
        let events = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        let of_kind = events.into_iter().filter(|event| event.kind == kind);
        of_kind.map(|event| serde_json::from_str(&event.data).unwrap()).collect()
    }

    /// The auditor finds nothing.
    fn verify(&self) {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        for table in Coupons::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        self.coupons.audit(&Tx::unbounded(&*reader, Coupons::DATABASE), &mut report).unwrap();
        // What other services must agree with is for the auditor of a whole node.
        let (mut findings, checked) = report.finish();
        findings.retain(|it| it.invariant != promox_contract::coupon::REDEEMED);
        assert!(findings.is_empty() && checked > 0, "{findings:?}");
    }
}

/// What a caller branches on.
fn refusal(result: Result<Value, Error>) -> (String, Option<String>) {
    let error = result.unwrap_err();
    let reason = error.members().get("reason").and_then(Value::as_str).map(str::to_owned);
    (error.code().to_owned(), reason)
}

fn pointers(result: Result<Value, Error>) -> Vec<String> {
    result.unwrap_err().errors().iter().map(|fault| fault.pointer.clone()).collect()
}

const PROMOTION: PromotionId = PromotionId(1);
const ADA: UserId = UserId(7);
