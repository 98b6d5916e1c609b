//! Promotions in memory, compiled: brought up to the epoch's row whenever that has moved on, by what changed only.
//!
//! Every evaluation reads the row first, so a promotion that is paused is paused for the next evaluation on every node.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::ids::PromotionId;
use promox_kernel::Currency;
use promox_storage::{StoreError, Tx};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::records::{Epoch, Promotion, PromotionByChange, PromotionByStatus, PromotionStatus};
use crate::rules::{Circumstances, Rule, RuleSet};

/// The one row of the epoch.
pub(crate) const EPOCH: i64 = 1;
/// Active promotions at most: all of them are read at once when a node starts.
pub(crate) const MOST_ACTIVE: usize = 15_000;

/// Hours of the day begin at these seconds somewhere in the world.
const QUARTER_OF_AN_HOUR: i64 = 900;
/// FNV-1a, for a digest that tells epochs apart and protects nothing.
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// The active promotions at one epoch.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) epoch: i64,
    currency: Currency,
    rules: BTreeMap<PromotionId, Arc<Rule>>,
    pub(crate) set: RuleSet,
}

impl Compiled {
    /// All active promotions.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    /// Changes whenever a price on the shelf may have: with the promotions, with the time as rules begin and end, with what
    /// campaigns have left. 0 without price rules.
    pub(crate) fn shelf_epoch(&self, it: &Circumstances) -> i64 {
        self.epoch_of_prices(it, |left| left.to_i64().unwrap_or(i64::MAX))
    }

    /// The same, but for budgets changing only as they halve: for what would be worked out anew for the whole catalogue.
    pub(crate) fn coarse_shelf_epoch(&self, it: &Circumstances) -> i64 {
        self.epoch_of_prices(it, |left| left.to_i64().and_then(i64::checked_ilog2).map_or(-1, i64::from))
    }

    fn epoch_of_prices(&self, it: &Circumstances, budget: impl Fn(Decimal) -> i64) -> i64 {
        let shelf = self.set.shelf();
        if shelf.is_empty() {
            return 0;
        }
        let admitted = shelf.iter().filter(|rule| rule.applies_now(it)).map(|rule| rule.id().0);
        let hour = shelf.iter().any(|rule| rule.needs().time).then(|| it.now.seconds() / QUARTER_OF_AN_HOUR);
        let left = shelf.iter().filter_map(|rule| it.campaigns.get(&rule.campaign()?)?.left);
        let left = left.map(|left| budget(left.0 * Decimal::ONE_THOUSAND));
        let parts = std::iter::once(self.epoch).chain(admitted).chain(hour).chain(left);
        let digest = parts.fold(FNV_OFFSET, |digest, part| (digest ^ part.cast_unsigned()).wrapping_mul(FNV_PRIME));
        (digest >> 1).cast_signed().max(1)
    }

    /// An active promotion.
    pub(crate) fn rule(&self, id: PromotionId) -> Option<Arc<Rule>> {
        self.rules.get(&id).cloned()
    }
}

/// The compiled promotions of this node.
#[derive(Debug, Default)]
pub(crate) struct Compiler(RwLock<Option<Arc<Compiled>>>);

/// The epoch that a transaction sees.
pub(crate) fn epoch(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx.get::<Epoch>(&EPOCH)?.map_or(0, |row| row.epoch))
}

impl Compiler {
    /// The active promotions as a transaction sees them.
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
            take(&mut rules, promotion, currency);
        }
        let set = RuleSet::new(rules.values().cloned());
        let compiled = Arc::new(Compiled { epoch, currency, rules, set });
        *self.0.write() = Some(compiled.clone());
        Ok(compiled)
    }
}

/// Takes a promotion in as it stands. One that the present currency cannot say is left out: its amounts mean nothing there.
fn take(rules: &mut BTreeMap<PromotionId, Arc<Rule>>, promotion: &Promotion, currency: Currency) {
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
