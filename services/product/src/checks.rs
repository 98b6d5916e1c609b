//! Checks of requests, and what commands need of the store.

use promox_contract::ids::CategoryId;
use promox_contract::promotion::FindReferencingPromotion;
use promox_contract::store::{GetStoreProfile, GetStoreTaxes};
use promox_kernel::{Amount, Cx, Error, Faults, FieldError};

use crate::api::ListProducts;
use crate::commands::CommandContext;
use crate::{Products, reject};

/// Checks that the price filters have no more digits than the store's currency.
pub(crate) async fn check_prices(cx: &Cx, op: &ListProducts) -> Result<(), Error> {
    let bounds = [("?minPrice", op.min_price), ("?maxPrice", op.max_price)];
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        return Ok(());
    }
    let currency = cx.call(GetStoreProfile {}).await?.currency;
    let fault = |(pointer, bound): (&str, Option<Amount>)| {
        let detail = currency.exact(bound?).err()?;
        Some(FieldError::new(pointer, detail))
    };
    let faults: Faults = bounds.into_iter().filter_map(fault).collect();
    faults.finish()
}

impl Products {
    /// Refuses to delete a category that a promotion refers to.
    pub(crate) async fn refuse_named_category(&self, cx: &Cx, id: CategoryId) -> Result<(), Error> {
        let named = FindReferencingPromotion { category_id: Some(id), ..FindReferencingPromotion::default() };
        let found = cx.call(named).await?.promotion_id;
        found.map_or(Ok(()), |promotion| Err(reject::category_in_use(promotion)))
    }

    /// The context of a command, with the settings of the store.
    pub(crate) async fn context(&self, cx: &Cx) -> Result<CommandContext, Error> {
        let (store, taxes) = (cx.call(GetStoreProfile {}).await?, cx.call(GetStoreTaxes {}).await?);
        let tax_classes = taxes.classes.into();
        Ok(CommandContext { cx: cx.clone(), currency: store.currency, tax_classes, trees: self.trees.clone() })
    }
}
