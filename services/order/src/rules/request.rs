//! Validation of the request of a checkout or quote, before other services are called.

use std::collections::HashMap;

use promox_contract::codes;
use promox_contract::inventory::SkuQuantity;
use promox_contract::settings::TaxSettings;
use promox_kernel::{Error, Faults, FieldError, bounded, country, multiline};

use crate::address::Address;
use crate::api::PlaceOrder;

/// Maximum units of one line.
pub(crate) const MAX_UNITS: u32 = 1_000_000;
/// Maximum lines of one order.
pub(crate) const MAX_LINES: usize = 1_000;

/// Refuses a request with all faults that can be found without the store's settings.
pub(crate) fn check(request: &PlaceOrder) -> Result<(), Error> {
    let mut faults = Faults::default();
    let only_reservations = !request.flash_sale_reservation_ids.is_empty();
    if let Some(items) = request.items.as_ref().filter(|items| !(items.is_empty() && only_reservations)) {
        item_faults(items, "/items", &mut faults);
    }
    for (address, at) in
        [(&request.shipping_address, "/shippingAddress"), (&request.billing_address, "/billingAddress")]
    {
        if let Some(address) = address {
            address_faults(address, at, &mut faults);
        }
    }
    let note = request.note.as_ref().map(|text| ("/note", multiline(text, 0, 2_000)));
    let channel = request.channel.as_ref().map(|text| ("/channel", bounded(text, 0, 40)));
    for (at, checked) in note.into_iter().chain(channel) {
        if let Err(detail) = checked {
            faults.note(at, detail);
        }
    }
    if request.attributes.len() > 50
        || request.attributes.iter().any(|(name, value)| name.len() > 100 || value.len() > 1_000)
    {
        faults.note("/attributes", "must have at most 50 attributes, with names of 100 and values of 1,000 characters");
    }
    for (i, id) in request.flash_sale_reservation_ids.iter().enumerate() {
        // A reservation can be ordered once, so a second line for it would be empty.
        if request.flash_sale_reservation_ids.iter().take(i).any(|known| known == id) {
            faults.note(format!("/flashSaleReservationIds/{i}"), "duplicate reservation");
        }
    }
    let codes = request.coupon_codes.len() + request.flash_sale_reservation_ids.len();
    if codes > 50 {
        faults.note("/couponCodes", "must name at most 50 codes and reservations");
    }
    faults.finish()
}

/// Replaces the regions of a request's addresses by the codes that tax rates use. If the country is taxed by region, a
/// shipping address with a missing or unknown region is refused, because its tax would be unknown.
pub(crate) fn regions_to_codes(request: &mut PlaceOrder, taxes: &TaxSettings) -> Result<(), Error> {
    let mut faults = Faults::default();
    let mut to_code = |address: &mut Option<Address>, pointer: &str, required: bool| {
        let Some(address) = address.as_mut().filter(|address| taxes.is_by_region(&address.country)) else { return };
        let text = address.region.as_deref().unwrap_or_default();
        if text.trim().is_empty() {
            if required {
                let detail = format!("the tax in {} depends on the region", address.country);
                faults.add(FieldError::coded(pointer, codes::MISSING, detail));
            }
            return;
        }
        match taxes.store_taxes().region(&address.country, text) {
            Ok(code) => address.region = Some(code),
            Err(detail) => faults.note(pointer, detail),
        }
    };
    to_code(&mut request.shipping_address, "/shippingAddress/region", true);
    to_code(&mut request.billing_address, "/billingAddress/region", false);
    faults.finish()
}

/// Adds the faults of items: no or too many lines, and invalid quantities.
pub(crate) fn item_faults(items: &[SkuQuantity], at: &str, faults: &mut Faults) {
    if items.is_empty() {
        faults.note(at, "must have at least one line");
    }
    if items.len() > MAX_LINES {
        faults.note(at, format!("must have at most {MAX_LINES} lines"));
    }
    for (i, item) in items.iter().enumerate() {
        if item.quantity == 0 || item.quantity > MAX_UNITS {
            faults.note(format!("{at}/{i}/quantity"), format!("must be 1 to {MAX_UNITS}"));
        }
    }
}

/// Adds the faults of an address.
fn address_faults(address: &Address, at: &str, faults: &mut Faults) {
    let required = [(&address.name, "name"), (&address.line1, "line1"), (&address.city, "city")];
    let optional = [
        (&address.company, "company"),
        (&address.vat_id, "vatId"),
        (&address.line2, "line2"),
        (&address.postal_code, "postalCode"),
        (&address.region, "region"),
        (&address.phone, "phone"),
    ];
    let required = required.into_iter().map(|(text, name)| (text, name, 1));
    let optional = optional.into_iter().filter_map(|(text, name)| Some((text.as_ref()?, name, 0)));
    for (text, name, min) in required.chain(optional) {
        if let Err(detail) = bounded(text, min, 200) {
            faults.note(format!("{at}/{name}"), detail);
        }
    }
    if let Err(detail) = country(&address.country) {
        faults.note(format!("{at}/country"), detail);
    }
}

/// Combines lines of the same SKU, in the order in which the SKUs first occur.
pub(crate) fn merge(items: Vec<SkuQuantity>) -> Result<Vec<SkuQuantity>, Error> {
    let mut merged: Vec<SkuQuantity> = Vec::with_capacity(items.len());
    let mut positions = HashMap::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let position = *positions.entry(item.sku.fold()).or_insert(merged.len());
        match merged.get_mut(position) {
            None => merged.push(item),
            Some(line) => {
                line.quantity = add_units(line.quantity, item.quantity, &format!("/items/{i}/quantity"))?;
            }
        }
    }
    Ok(merged)
}

/// The units of two lines of the same goods. Refused above [`MAX_UNITS`], with `pointer` as the faulty member.
pub(crate) fn add_units(units: u32, more: u32, pointer: &str) -> Result<u32, Error> {
    let sum = units.saturating_add(more);
    if sum > MAX_UNITS {
        let detail = format!("exceeds {MAX_UNITS} together with earlier lines of the same SKU");
        return Err(Error::field(pointer, detail));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: u32) -> SkuQuantity {
        SkuQuantity { sku: sku.parse().unwrap(), quantity }
    }

    #[test]
    fn lines_of_the_same_sku_are_combined() {
        let merged = merge(vec![line("a", 1), line("b", 2), line("A", 3)]).unwrap();
        assert_eq!(merged, [line("a", 4), line("b", 2)]);
        assert!(merge(vec![line("a", MAX_UNITS), line("A", 1)]).is_err());
    }

    #[test]
    fn quantities_out_of_range_are_refused() {
        for (quantity, valid) in [(0, false), (1, true), (MAX_UNITS, true), (MAX_UNITS + 1, false)] {
            let mut faults = Faults::default();
            item_faults(&[line("a", quantity)], "/items", &mut faults);
            assert_eq!(faults.is_empty(), valid, "{quantity}");
        }
    }
}
