//! Tax rates by country or region, and tax class. The tax itself is calculated by
//! [`tax_of`](promox_contract::order_line::tax_of).

use promox_contract::settings::TaxSettings;
use promox_kernel::Amount;

use crate::address::Address;

/// The rate in percent for a tax class and an address. The address's region must be the code that rates use. Zero if no
/// rate matches, or without an address.
pub(crate) fn tax_rate(settings: &TaxSettings, address: Option<&Address>, class: &str) -> Amount {
    let Some(address) = address else { return Amount::ZERO };
    let matching = settings.rates.iter().filter(|rate| rate.country == address.country && rate.tax_class == class);
    let regional = matching.clone().find(|rate| rate.region.is_some() && rate.region == address.region);
    regional.or_else(|| matching.clone().find(|rate| rate.region.is_none())).map_or(Amount::ZERO, |rate| rate.percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_contract::settings::TaxRate;

    fn address(country: &str, region: Option<&str>) -> Address {
        Address {
            name: "A".into(),
            company: None,
            vat_id: None,
            line1: "1".into(),
            line2: None,
            city: "C".into(),
            postal_code: None,
            region: region.map(str::to_owned),
            country: country.into(),
            phone: None,
        }
    }

    #[test]
    fn the_rate_of_a_region_precedes_that_of_its_country() {
        let entry = |region: Option<&str>, percent: &str| TaxRate {
            country: "US".into(),
            region: region.map(str::to_owned),
            tax_class: "STANDARD".into(),
            percent: percent.parse().unwrap(),
        };
        let settings =
            TaxSettings { rates: vec![entry(None, "1"), entry(Some("CA"), "7.25")], ..TaxSettings::default() };
        let of = |country, region, class| tax_rate(&settings, Some(&address(country, region)), class).to_string();
        assert_eq!(of("US", Some("CA"), "STANDARD"), "7.25");
        assert_eq!(of("US", Some("NY"), "STANDARD"), "1");
        assert_eq!(of("US", None, "BOOKS"), "0");
        assert_eq!(of("DE", None, "STANDARD"), "0");
    }
}
