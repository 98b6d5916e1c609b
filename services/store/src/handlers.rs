//! Handlers of the operations: each does one read or write and converts the result.

use std::sync::Arc;

use promox_contract::product::FindUsedTaxClasses;
use promox_contract::store::{
    CurrencyLock, EnabledMethods, GetCurrentSettings, GetStoreProfile, GetStoreTaxes, ListEnabledPaymentMethods,
    LockCurrency, SettingsSnapshot, SettleCurrencyLock, StoreProfile, StoreTaxes,
};
use promox_kernel::{Cx, Error, Handle};

use crate::api::{
    GetPayments, GetShipping, GetStore, GetTaxes, PatchPayments, PatchShipping, PatchStore, PatchTaxes, PutPayments,
    PutShipping, PutStore, PutTaxes,
};
use crate::commands::currency;
use crate::commands::settings::{Change, change};
use crate::{PaymentSettings, ShippingSettings, Store, StoreSettings, TaxSettings, reject};

impl Handle<GetCurrentSettings> for Store {
    async fn handle(&self, _: &Cx, op: GetCurrentSettings) -> Result<SettingsSnapshot, Error> {
        let now = self.settings.at_epoch(&self.db).await?;
        let changed = (op.known_epoch != Some(now.epoch)).then(|| Arc::unwrap_or_clone(now.settings));
        Ok(SettingsSnapshot { epoch: now.epoch, changed })
    }
}

impl Handle<GetStoreProfile> for Store {
    async fn handle(&self, _: &Cx, _: GetStoreProfile) -> Result<StoreProfile, Error> {
        Ok(self.settings.get(&self.db).await?.profile())
    }
}

impl Handle<ListEnabledPaymentMethods> for Store {
    async fn handle(&self, _: &Cx, _: ListEnabledPaymentMethods) -> Result<EnabledMethods, Error> {
        Ok(EnabledMethods { methods: self.settings.get(&self.db).await?.payments.methods.clone() })
    }
}

impl Handle<GetStoreTaxes> for Store {
    async fn handle(&self, _: &Cx, _: GetStoreTaxes) -> Result<StoreTaxes, Error> {
        Ok(self.settings.get(&self.db).await?.taxes.store_taxes())
    }
}

impl Handle<LockCurrency> for Store {
    async fn handle(&self, cx: &Cx, op: LockCurrency) -> Result<CurrencyLock, Error> {
        let currency = op.currency;
        let settled = |tx: &promox_storage::Tx<'_>| {
            currency::check(tx, currency)?;
            Ok::<_, Error>(currency::any_written(tx)?)
        };
        if self.db.read(settled).await? {
            return Ok(CurrencyLock { pending: false });
        }
        let pending = self.db.write(cx, move |tx| currency::lock(tx, currency)).await?;
        Ok(CurrencyLock { pending })
    }
}

impl Handle<SettleCurrencyLock> for Store {
    async fn handle(&self, cx: &Cx, op: SettleCurrencyLock) -> Result<(), Error> {
        self.db.write(cx, move |tx| currency::settle(tx, op.written)).await
    }
}

/// Implements the handlers of a group of settings.
macro_rules! settings_handlers {
    ($($get:ty, $put:ty, $patch:ty, $type:ty, $field:ident;)+) => {$(
        impl Handle<$get> for Store {
            async fn handle(&self, _: &Cx, _: $get) -> Result<$type, Error> {
                Ok(Arc::unwrap_or_clone(self.settings.get(&self.db).await?).$field)
            }
        }
        impl Handle<$put> for Store {
            async fn handle(&self, cx: &Cx, op: $put) -> Result<$type, Error> {
                change(&self.db, cx, Change::Whole(op.0)).await
            }
        }
        impl Handle<$patch> for Store {
            async fn handle(&self, cx: &Cx, op: $patch) -> Result<$type, Error> {
                change::<$type>(&self.db, cx, Change::Part(op.0)).await
            }
        }
    )+};
}
settings_handlers! {
    GetStore, PutStore, PatchStore, StoreSettings, store;
    GetShipping, PutShipping, PatchShipping, ShippingSettings, shipping;
    GetPayments, PutPayments, PatchPayments, PaymentSettings, payments;
}

impl Handle<GetTaxes> for Store {
    async fn handle(&self, _: &Cx, _: GetTaxes) -> Result<TaxSettings, Error> {
        Ok(self.settings.get(&self.db).await?.taxes.clone())
    }
}

impl Handle<PutTaxes> for Store {
    async fn handle(&self, cx: &Cx, op: PutTaxes) -> Result<TaxSettings, Error> {
        self.change_taxes(cx, Change::Whole(op.0)).await
    }
}

impl Handle<PatchTaxes> for Store {
    async fn handle(&self, cx: &Cx, op: PatchTaxes) -> Result<TaxSettings, Error> {
        self.change_taxes(cx, Change::Part(op.0)).await
    }
}

impl Store {
    /// Changes the tax settings. 409 `TAX_CLASS_IN_USE` if that would remove a tax class of a product. A product that
    /// is given a removed class at the same time cannot be sold, and the audit reports it.
    async fn change_taxes(&self, cx: &Cx, wanted: Change<TaxSettings>) -> Result<TaxSettings, Error> {
        let settings = self.settings.get(&self.db).await?;
        let (before, after) = (&settings.taxes, wanted.of(&settings.taxes, &settings.store)?);
        let classes: Vec<String> =
            before.class_names().difference(&after.class_names()).map(|class| (*class).to_owned()).collect();
        if !classes.is_empty() {
            let uses = cx.elevated().call(FindUsedTaxClasses { classes }).await?.uses;
            if !uses.is_empty() {
                return Err(reject::tax_class_in_use(&uses));
            }
        }
        change(&self.db, cx, wanted).await
    }
}
