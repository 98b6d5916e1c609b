//! The pricing terms for the promotion service: the maximum discount, and shipping and tax for an address.

use promox_contract::promotion::{GetPricingTerms, PricingTerms};
use promox_contract::settings::Settings;

use crate::address::Address;
use crate::rules::{shipping, tax_rate};

/// The terms for a cart with this subtotal that is shipped to this address.
pub(crate) fn terms(settings: &Settings, op: GetPricingTerms) -> PricingTerms {
    let address = op.country.map(|country| address_in(country.to_ascii_uppercase(), op.region));
    let (address, currency) = (address.as_ref(), settings.store.currency);
    let options = shipping::options(&settings.shipping, address, op.subtotal, currency);
    let chosen = shipping::choose(&options, op.shipping_method.as_deref()).ok();
    let rate = |class: &str| tax_rate::tax_rate(&settings.taxes, address, class);
    PricingTerms {
        prices_include_tax: settings.taxes.prices_include_tax,
        max_discount_percent: settings.store.max_discount_percent,
        shipping_method: chosen.map(|option| option.method.clone()),
        shipping: chosen.map_or(currency.zero(), |option| option.amount),
        shipping_tax_percent: rate(&settings.taxes.shipping_tax_class),
        tax_percents: op.tax_classes.iter().map(|class| rate(class)).collect(),
    }
}

/// An address with country and region only, which is all that rates depend on.
fn address_in(country: String, region: Option<String>) -> Address {
    let (name, line1, city) = (String::new(), String::new(), String::new());
    let (company, vat_id, line2, postal_code, phone) = (None, None, None, None, None);
    Address { name, company, vat_id, line1, line2, city, postal_code, region, country, phone }
}
