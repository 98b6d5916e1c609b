//! Shipping methods: those of the first zone that contains the country, with their costs.

use promox_contract::codes;
use promox_contract::settings::{ShippingMethod, ShippingSettings};
use promox_kernel::{Amount, Currency, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;

/// A shipping method that is available for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingOption {
    /// The code of the method.
    pub method: String,
    /// The display name.
    pub name: String,
    /// The cost for this order.
    pub amount: Amount,
}

/// The shipping methods for goods worth `subtotal` to an address, cheapest first. Without zones there is one free
/// method; without a matching zone there is none.
pub(crate) fn options(
    settings: &ShippingSettings,
    address: Option<&Address>,
    subtotal: Amount,
    currency: Currency,
) -> Vec<ShippingOption> {
    if settings.zones.is_empty() {
        let free =
            ShippingOption { method: "STANDARD".to_owned(), name: "Standard".to_owned(), amount: currency.zero() };
        return vec![free];
    }
    let Some(address) = address else { return Vec::new() };
    let named = settings.zones.iter().find(|zone| zone.countries.contains(&address.country));
    let zone = named.or_else(|| settings.zones.iter().find(|zone| zone.countries.iter().any(|c| c == "*")));
    let mut options: Vec<ShippingOption> = zone
        .into_iter()
        .flat_map(|zone| &zone.methods)
        .map(|method| ShippingOption {
            method: method.method.clone(),
            name: method.name.clone(),
            amount: currency.round(amount(method, subtotal).0),
        })
        .collect();
    options.sort_by_key(|option| option.amount);
    options
}

/// The cost of a method: its fixed amount, or the rate with the highest threshold that `subtotal` reaches.
fn amount(method: &ShippingMethod, subtotal: Amount) -> Amount {
    let reached = method.rates.iter().filter(|rate| rate.from <= subtotal).max_by_key(|rate| rate.from);
    method.amount.or_else(|| reached.map(|rate| rate.amount)).unwrap_or(Amount::ZERO)
}

/// The requested method, or the cheapest if none is requested. Refused with 422 `SHIPPING_UNAVAILABLE` if there is
/// none.
pub(crate) fn choose<'a>(options: &'a [ShippingOption], requested: Option<&str>) -> Result<&'a ShippingOption, Error> {
    let Some(cheapest) = options.first() else {
        return Err(Error::refused(codes::SHIPPING_UNAVAILABLE, "We do not ship to this address."));
    };
    match requested {
        None => Ok(cheapest),
        Some(requested) => options.iter().find(|option| option.method == requested).ok_or_else(|| {
            let methods: Vec<&str> = options.iter().map(|option| option.method.as_str()).collect();
            let available = methods.join(", ");
            let message = format!("\"{requested}\" does not ship to this address. Available methods: {available}.");
            Error::refused(codes::SHIPPING_UNAVAILABLE, message).with("methods", methods)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_contract::settings::{ShippingRate, Zone};

    fn settings() -> ShippingSettings {
        let flat = |method: &str, amount: &str| ShippingMethod {
            method: method.into(),
            name: method.into(),
            amount: Some(amount.parse().unwrap()),
            rates: Vec::new(),
        };
        let rate =
            |from: &str, amount: &str| ShippingRate { from: from.parse().unwrap(), amount: amount.parse().unwrap() };
        let standard =
            ShippingMethod { amount: None, rates: vec![rate("0", "4.99"), rate("50", "0")], ..flat("STANDARD", "0") };
        let home =
            Zone { name: "UK".into(), countries: vec!["GB".into()], methods: vec![flat("EXPRESS", "9.00"), standard] };
        ShippingSettings { zones: vec![home], version: 1 }
    }

    fn to(country: &str, subtotal: &str) -> Vec<String> {
        let address = Address {
            name: "A".into(),
            company: None,
            vat_id: None,
            line1: "1".into(),
            line2: None,
            city: "C".into(),
            postal_code: None,
            region: None,
            country: country.into(),
            phone: None,
        };
        let options = options(&settings(), Some(&address), subtotal.parse().unwrap(), Currency::GBP);
        options.iter().map(|option| format!("{} {}", option.method, option.amount)).collect()
    }

    #[test]
    fn a_rate_applies_from_its_threshold_on() {
        assert_eq!(to("GB", "49.99"), ["STANDARD 4.99", "EXPRESS 9.00"]);
        assert_eq!(to("GB", "50.00"), ["STANDARD 0.00", "EXPRESS 9.00"]);
        assert!(to("FR", "50.00").is_empty());
        assert_eq!(choose(&[], None).unwrap_err().code(), "SHIPPING_UNAVAILABLE");
    }
}
