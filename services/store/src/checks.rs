//! Checks of settings that need other services.

use promox_contract::product::FindUsedTaxClasses;
use promox_kernel::{Cx, Error};

use crate::commands::settings::{Change, change};
use crate::{Store, TaxSettings, reject};

impl Store {
    /// Changes the tax settings. 409 `TAX_CLASS_IN_USE` if that would remove a tax class of a product. A product that
    /// is given a removed class at the same time cannot be sold, and the audit reports it.
    pub(crate) async fn change_taxes(&self, cx: &Cx, wanted: Change<TaxSettings>) -> Result<TaxSettings, Error> {
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
