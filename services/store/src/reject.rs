//! Refusals of the store service.

use promox_contract::codes;
use promox_contract::product::TaxClassUse;
use promox_kernel::Error;

/// 409 `TAX_CLASS_IN_USE`: products use tax classes that the change would remove.
pub(crate) fn tax_class_in_use(uses: &[TaxClassUse]) -> Error {
    let products: Vec<String> = uses.iter().map(|product| format!("{} ({})", product.tax_class, product.sku)).collect();
    let message = format!(
        "Products use tax classes that would be removed: {}. Give these products another class, or list the \
             class in classes.",
        products.join(", ")
    );
    Error::conflict(codes::TAX_CLASS_IN_USE, message).with("uses", uses)
}
