//! Tax rates: by country or region, and class.

use promox_contract::settings::TaxSettings;
use promox_kernel::Amount;

use crate::address::Address;

/// The rate in percent for a tax class and an address, whose region is the code that rates use; zero if none is set.
pub(crate) fn rate(settings: &TaxSettings, address: Option<&Address>, class: &str) -> Amount {
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
    fn a_region_counts_before_its_country() {
        let entry = |region: Option<&str>, percent: &str| TaxRate {
            country: "US".into(),
            region: region.map(str::to_owned),
            tax_class: "STANDARD".into(),
            percent: percent.parse().unwrap(),
        };
        let settings =
            TaxSettings { rates: vec![entry(None, "1"), entry(Some("CA"), "7.25")], ..TaxSettings::default() };
        let of = |country, region, class| rate(&settings, Some(&address(country, region)), class).to_string();
        assert_eq!(of("US", Some("CA"), "STANDARD"), "7.25");
        assert_eq!(of("US", Some("NY"), "STANDARD"), "1");
        assert_eq!(of("US", None, "BOOKS"), "0");
        assert_eq!(of("DE", None, "STANDARD"), "0");
    }
}
