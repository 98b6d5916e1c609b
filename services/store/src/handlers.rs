//! Handlers of the operations: each does one read or write and converts the result.

use std::sync::Arc;

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
use crate::commands::settings::{Change, change, check};
use crate::{PaymentSettings, ShippingSettings, Store, StoreSettings, TaxSettings};

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
            async fn check(&self, _: &Cx, op: $put) -> Result<(), Error> {
                check(&self.db, &Change::Whole(op.0)).await
            }
        }
        impl Handle<$patch> for Store {
            async fn handle(&self, cx: &Cx, op: $patch) -> Result<$type, Error> {
                change::<$type>(&self.db, cx, Change::Part(op.0)).await
            }
            async fn check(&self, _: &Cx, op: $patch) -> Result<(), Error> {
                check::<$type>(&self.db, &Change::Part(op.0)).await
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

    async fn check(&self, _: &Cx, op: PutTaxes) -> Result<(), Error> {
        check(&self.db, &Change::Whole(op.0)).await
    }
}

impl Handle<PatchTaxes> for Store {
    async fn handle(&self, cx: &Cx, op: PatchTaxes) -> Result<TaxSettings, Error> {
        self.change_taxes(cx, Change::Part(op.0)).await
    }

    async fn check(&self, _: &Cx, op: PatchTaxes) -> Result<(), Error> {
        check::<TaxSettings>(&self.db, &Change::Part(op.0)).await
    }
}
