//! A store with the settings of a new one.

use std::sync::Arc;

use promox_contract::settings::Settings;
use promox_contract::store::{AmountsPledged, CurrentSettings, PledgeAmounts, SettingsNow, SettleAmounts};
use promox_kernel::{Cx, Error, Handle, Registry, register};

struct NewStore;

/// Answers for the store service.
pub(super) fn register_new_store(registry: &mut Registry) {
    register!(registry, &Arc::new(NewStore); CurrentSettings, PledgeAmounts, SettleAmounts);
}

impl Handle<CurrentSettings> for NewStore {
    async fn handle(&self, _: &Cx, _: CurrentSettings) -> Result<SettingsNow, Error> {
        Ok(SettingsNow { epoch: 1, changed: Some(Settings::default()) })
    }
}

impl Handle<PledgeAmounts> for NewStore {
    async fn handle(&self, _: &Cx, _: PledgeAmounts) -> Result<AmountsPledged, Error> {
        Ok(AmountsPledged { pending: false })
    }
}

impl Handle<SettleAmounts> for NewStore {
    async fn handle(&self, _: &Cx, _: SettleAmounts) -> Result<(), Error> {
        Ok(())
    }
}
