//! Answers in place of the other services.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_contract::campaign::{CampaignStateList, GetCampaignStates};
use promox_contract::flashsale::{FindReferencingSale, ReferencingSale};
use promox_contract::product::{ResolveSkus, ResolvedSkus, VariantRef};
use promox_contract::promotion::{FindReferencingPromotion, ReferencingPromotion, ReplaceCategory};
use promox_contract::settings::Settings;
use promox_contract::store::{
    CurrencyLock, GetCurrentSettings, GetStoreProfile, GetStoreTaxes, LockCurrency, SettingsSnapshot,
    SettleCurrencyLock, StoreTaxes,
};
use promox_contract::user::{DescribeUsers, UserDescriptions};
use promox_kernel::{Cx, Error, Handle, Op, Registry, Sku};

use crate::sample;

type Register = Arc<dyn Fn(&mut Registry) + Send + Sync>;

/// A closure as the handler of an operation.
struct Closure<F>(F);

impl<O: Op, F> Handle<O> for Closure<F>
where
    F: Fn(&Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static,
{
    async fn handle(&self, cx: &Cx, op: O) -> Result<O::Reply, Error> {
        (self.0)(cx, op)
    }
}

/// One answer for each operation, by its name; a later one replaces an earlier one.
#[derive(Clone, Default)]
pub(crate) struct Answers(BTreeMap<&'static str, (&'static str, Register)>);

impl Answers {
    /// A new store in pounds that knows every account and every SKU, in which nothing refers to anything.
    pub(crate) fn of_a_new_store() -> Self {
        let mut answers = Self::default();
        answers.closure(|_, _: GetStoreProfile| Ok(sample::store_facts()));
        answers
            .closure(|_, _: GetCurrentSettings| Ok(SettingsSnapshot { epoch: 1, changed: Some(Settings::default()) }));
        answers.closure(|_, _: GetStoreTaxes| {
            let classes = ["REDUCED", "STANDARD", "ZERO"].map(str::to_owned).to_vec();
            Ok(StoreTaxes { classes, ..StoreTaxes::default() })
        });
        answers.closure(|_, _: LockCurrency| Ok(CurrencyLock { pending: false }));
        answers.closure(|_, _: SettleCurrencyLock| Ok(()));
        answers.closure(|_, op: DescribeUsers| {
            Ok(UserDescriptions { items: op.ids.into_iter().map(sample::user_description).collect() })
        });
        answers.closure(|_, op: ResolveSkus| {
            let variant = |sku: Sku| Some(sample::variant_ref(sku));
            Ok(ResolvedSkus { variants: op.skus.into_iter().map(variant).collect::<Vec<Option<VariantRef>>>() })
        });
        answers.closure(|_, _: FindReferencingPromotion| Ok(ReferencingPromotion::default()));
        answers.closure(|_, _: ReplaceCategory| Ok(()));
        answers.closure(|_, _: FindReferencingSale| Ok(ReferencingSale::default()));
        answers.closure(|_, _: GetCampaignStates| Ok(CampaignStateList::default()));
        answers
    }

    pub(crate) fn handler<O: Op, H: Handle<O>>(&mut self, handler: &Arc<H>) {
        let handler = handler.clone();
        let register: Register = Arc::new(move |registry: &mut Registry| registry.register::<O, H>(&handler));
        self.0.insert(O::NAME, (O::SERVICE, register));
    }

    pub(crate) fn closure<O: Op>(
        &mut self,
        answer: impl Fn(&Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static,
    ) {
        self.handler::<O, _>(&Arc::new(Closure(answer)));
    }

    /// Registers all answers but those for operations of the service under test.
    pub(crate) fn register(&self, registry: &mut Registry, tested: &str) {
        let others = self.0.values().filter(|(service, _)| *service != tested);
        others.for_each(|(_, register)| register(registry));
    }
}
