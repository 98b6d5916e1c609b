//! The active promotions, compiled and kept in memory.
//!
//! Every evaluation first reads the epoch's row. If it has changed, only the changed promotions are compiled again. So
//! a paused promotion is paused for the next evaluation on every node.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use promox_contract::ids::PromotionId;
use promox_kernel::{Currency, Timestamp};
use promox_storage::{StoreError, Tx};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::records::{Epoch, Promotion, PromotionByChange, PromotionByStatus, PromotionStatus};
use crate::rules::{EvaluationContext, Rule, RuleSet};

/// The key of the epoch row.
pub(crate) const EPOCH: i64 = 1;
/// Maximum active promotions. All of them are read at once when a node starts.
pub(crate) const MAX_ACTIVE: usize = 15_000;

/// The parameters of FNV-1a, whose digest distinguishes epochs and is not a security measure.
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// The active promotions at one epoch.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) epoch: i64,
    currency: Currency,
    rules: BTreeMap<PromotionId, Arc<Rule>>,
    pub(crate) set: RuleSet,
    /// The latest known period during which time does not change price rules: its start and its exclusive end.
    steady: Mutex<Option<(Timestamp, Timestamp)>>,
}

impl Compiled {
    /// All active promotions.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    /// A number that changes whenever a catalog price may have changed: with the promotions, with time as rules start
    /// and end, and with the remaining budgets of campaigns. It is 0 without price rules. All nodes calculate the same
    /// number.
    pub(crate) fn catalog_epoch(&self, context: &EvaluationContext) -> i64 {
        self.epoch_of_prices(context, |left| left.to_i64().unwrap_or(i64::MAX))
    }

    /// A coarser epoch that changes with budgets only when they halve, for values that are recalculated for the whole
    /// catalog.
    pub(crate) fn coarse_catalog_epoch(&self, context: &EvaluationContext) -> i64 {
        self.epoch_of_prices(context, |left| left.to_i64().and_then(i64::checked_ilog2).map_or(-1, i64::from))
    }

    fn epoch_of_prices(&self, context: &EvaluationContext, budget: impl Fn(Decimal) -> i64) -> i64 {
        if self.set.catalog().is_empty() {
            return 0;
        }
        let mut digest = Digest(FNV_OFFSET);
        digest.add(self.epoch);
        digest.add(self.steady_since(context.now).0);
        for id in self.set.catalog_campaigns() {
            let eligibility = context.campaigns.get(id);
            digest.add(eligibility.map_or(-1, |campaign| i64::from(campaign.refused.is_none())));
            let left = eligibility.and_then(|campaign| campaign.left);
            digest.add(left.map_or(-1, |left| budget(left.0 * Decimal::ONE_THOUSAND)));
        }
        (digest.0 >> 1).cast_signed().max(1)
    }

    /// The start of the current period during which time does not change price rules. The rules are examined again only
    /// after it has ended.
    fn steady_since(&self, now: Timestamp) -> Timestamp {
        let known = *self.steady.lock();
        if let Some((since, until)) = known
            && since <= now
            && now < until
        {
            return since;
        }
        let forever = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        let both = |(since, until): (Timestamp, Timestamp), rule: &Arc<Rule>| {
            let (began, ends) = rule.steady(now);
            (since.max(began), until.min(ends))
        };
        let found = self.set.catalog().iter().fold(forever, both);
        *self.steady.lock() = Some(found);
        found.0
    }

    /// The active promotion with this id.
    pub(crate) fn rule(&self, id: PromotionId) -> Option<Arc<Rule>> {
        self.rules.get(&id).cloned()
    }
}

/// An FNV-1a digest.
struct Digest(u64);

impl Digest {
    fn add(&mut self, part: i64) {
        self.0 = (self.0 ^ part.cast_unsigned()).wrapping_mul(FNV_PRIME);
    }
}

/// The compiled promotions of this node.
#[derive(Debug, Default)]
pub(crate) struct Compiler(RwLock<Option<Arc<Compiled>>>);

/// The current epoch as of a transaction.
pub(crate) fn epoch(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx.get::<Epoch>(&EPOCH)?.map_or(0, |row| row.epoch))
}

impl Compiler {
    /// The active promotions as of a transaction.
    pub(crate) fn at(&self, tx: &Tx<'_>, currency: Currency) -> Result<Arc<Compiled>, StoreError> {
        let epoch = epoch(tx)?;
        let known = self.0.read().clone().filter(|known| known.currency == currency);
        if let Some(known) = known.as_ref().filter(|known| known.epoch == epoch) {
            return Ok(known.clone());
        }
        let mut rules = known.as_ref().map(|known| known.rules.clone()).unwrap_or_default();
        let changed: Vec<Promotion> = if let Some(known) = known.filter(|known| known.epoch < epoch) {
            tx.scan_by::<PromotionByChange>().from(known.epoch + 1).collect(usize::MAX)?
        } else {
            rules.clear();
            tx.scan_by::<PromotionByStatus>().prefix(PromotionStatus::Active).collect(usize::MAX)?
        };
        for promotion in &changed {
            update_rule(&mut rules, promotion, currency);
        }
        let set = RuleSet::new(rules.values().cloned());
        let compiled = Arc::new(Compiled { epoch, currency, rules, set, steady: Mutex::default() });
        *self.0.write() = Some(compiled.clone());
        Ok(compiled)
    }
}

/// Replaces a promotion by its current state. One that does not compile in the current currency is left out, because
/// its amounts have no meaning.
fn update_rule(rules: &mut BTreeMap<PromotionId, Arc<Rule>>, promotion: &Promotion, currency: Currency) {
    rules.remove(&promotion.id);
    if promotion.status != PromotionStatus::Active {
        return;
    }
    match Rule::compile(promotion.id, &promotion.document, currency, "") {
        Ok(rule) => {
            rules.insert(promotion.id, Arc::new(rule));
        }
        Err(faults) => {
            tracing::error!(
                promotion = promotion.id.0,
                ?faults,
                "an active promotion does not compile and is left out"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::catalog::{catalog_rules, context, moment};
    use crate::rules::{Cart, Line, LineInput, Promotion as Document};
    use promox_kernel::Amount;
    use proptest::prelude::*;

    fn compiled(rules: &[serde_json::Value]) -> Compiled {
        let compile = |(id, document): (i64, &serde_json::Value)| {
            let mut document = document.clone();
            document["name"] = "Rule".into();
            let document: Document = serde_json::from_value(document).unwrap();
            Arc::new(Rule::compile(PromotionId(id), &document, Currency::GBP, "").unwrap())
        };
        let rules: BTreeMap<_, _> = (1..).zip(rules).map(compile).map(|rule| (rule.id(), rule)).collect();
        let set = RuleSet::new(rules.values().cloned());
        Compiled { epoch: 1, currency: Currency::GBP, rules, set, steady: Mutex::default() }
    }

    fn prices(it: &Compiled, at: &EvaluationContext) -> Vec<i64> {
        let line = |n: i64| {
            let price = Amount(Decimal::from(n * 7 % 60 + 1));
            let input = LineInput {
                sku: format!("S{}", n % 6).parse().unwrap(),
                former_skus: Vec::new(),
                product_id: Some(n % 4),
                category_ids: vec![n % 3, n % 3 + 1],
                attributes: [("colour".to_owned(), format!("c{}", n % 3))].into(),
                quantity: 1,
                list_price: price,
                unit_price: price,
                floor_price: None,
                discountable: true,
                flash_sale_id: None,
            };
            Line::new(input, Currency::GBP).unwrap()
        };
        it.set.catalog_prices(&Cart::of_catalog(Currency::GBP, (0..30).map(line).collect(), None), at)
    }

    proptest! {
        #[test]
        fn prices_within_one_epoch_are_equal(rules in catalog_rules(8), it in context(), moments in prop::collection::vec(moment(), 1..6)) {
            // A node that evaluates at many times, in any order, gets the same results as one that evaluates once.
            let node = compiled(&rules);
            let mut seen: Vec<(i64, Vec<i64>)> = Vec::new();
            for now in moments {
                let at = EvaluationContext { now, ..it.clone() };
                let (epoch, prices) = (node.catalog_epoch(&at), prices(&node, &at));
                prop_assert_eq!(epoch, compiled(&rules).catalog_epoch(&at));
                prop_assert_eq!(epoch == 0, rules.is_empty());
                for (other, then) in &seen {
                    prop_assert!(*other != epoch || *then == prices, "{now}: one epoch has different prices");
                }
                seen.push((epoch, prices));
            }
        }
    }
}
