//! Refusals of the store service.

use promox_contract::codes;
use promox_contract::hook::HookKind;
use promox_contract::product::TaxClassUse;
use promox_kernel::Error;

/// 409 `HOOK_EXISTS`: the store has a hook of this kind.
pub(crate) fn hook_exists(kind: HookKind) -> Error {
    let message = format!("The store has a hook of the kind {kind} already: change it, or remove it first.");
    Error::conflict(codes::HOOK_EXISTS, message)
}

/// 503 `HOOK_UNAVAILABLE`: a hook has not answered as it should.
pub(crate) fn hook_unavailable(kind: HookKind) -> Error {
    let message = format!("The shop's service for {kind} has not answered; try again.");
    Error::unavailable(codes::HOOK_UNAVAILABLE, message, 5)
}

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
