//! Stubs that answer in place of the other services.

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
use promox_storage::{Transact, register_transaction};

use crate::sample;

/// Registers the handler of one operation.
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

/// The stub of each operation by the operation's name, with the service it belongs to. A later stub replaces an earlier
/// one.
#[derive(Clone, Default)]
pub(crate) struct Stubs(BTreeMap<&'static str, (&'static str, Register)>);

impl Stubs {
    /// The stubs of a new store in pounds in which every account and every SKU exists and nothing refers to anything.
    pub(crate) fn of_new_store() -> Self {
        let mut stubs = Self::default();
        stubs.closure(|_, _: GetStoreProfile| Ok(sample::store_profile()));
        stubs.closure(|_, _: GetCurrentSettings| Ok(SettingsSnapshot { epoch: 1, changed: Some(Settings::default()) }));
        stubs.closure(|_, _: GetStoreTaxes| {
            let classes = ["REDUCED", "STANDARD", "ZERO"].map(str::to_owned).to_vec();
            Ok(StoreTaxes { classes, ..StoreTaxes::default() })
        });
        stubs.closure(|_, _: LockCurrency| Ok(CurrencyLock { pending: false }));
        stubs.closure(|_, _: SettleCurrencyLock| Ok(()));
        stubs.closure(|_, op: DescribeUsers| {
            Ok(UserDescriptions { items: op.ids.into_iter().map(sample::user_description).collect() })
        });
        stubs.closure(|_, op: ResolveSkus| {
            let variant = |sku: Sku| Some(sample::variant_ref(sku));
            Ok(ResolvedSkus { variants: op.skus.into_iter().map(variant).collect::<Vec<Option<VariantRef>>>() })
        });
        stubs.closure(|_, _: FindReferencingPromotion| Ok(ReferencingPromotion::default()));
        stubs.closure(|_, _: ReplaceCategory| Ok(()));
        stubs.closure(|_, _: FindReferencingSale| Ok(ReferencingSale::default()));
        stubs.closure(|_, _: GetCampaignStates| Ok(CampaignStateList::default()));
        stubs
    }

    /// Adds a service as the handler of an operation.
    pub(crate) fn handler<O: Op, H: Handle<O>>(&mut self, handler: &Arc<H>) {
        let handler = handler.clone();
        let register: Register = Arc::new(move |registry: &mut Registry| registry.register::<O, H>(&handler));
        self.0.insert(O::NAME, (O::SERVICE, register));
    }

    /// Adds a service that handles an operation in one transaction.
    pub(crate) fn transaction<O: Op, S: Transact<O>>(&mut self, service: &Arc<S>) {
        let service = service.clone();
        let register: Register =
            Arc::new(move |registry: &mut Registry| register_transaction::<O, S>(registry, &service));
        self.0.insert(O::NAME, (O::SERVICE, register));
    }

    /// Adds a closure as the handler of an operation.
    pub(crate) fn closure<O: Op>(
        &mut self,
        answer: impl Fn(&Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static,
    ) {
        self.handler::<O, _>(&Arc::new(Closure(answer)));
    }

    /// Registers all stubs except those for operations of the service under test.
    pub(crate) fn register(&self, registry: &mut Registry, tested: &str) {
        let stubs = self.0.values().filter(|(service, _)| *service != tested);
        stubs.for_each(|(_, register)| register(registry));
    }
}
