//! Validation of postal addresses.

use promox_contract::store::StoreTaxes;
use promox_kernel::{Error, Faults, Patch, bounded, country};

use super::profile;
use crate::api::{CreateAddress, UpdateAddress};

/// Maximum entries of an address book.
pub(crate) const MAX_ADDRESSES: usize = 100;

fn line(text: &str) -> Result<String, String> {
    bounded(text, 1, 200)
}

fn postal_code(text: &str) -> Result<String, String> {
    bounded(text, 1, 20)
}

/// The validated and trimmed address, with its region as the store's tax rates name it. All faults are reported at
/// once.
pub(crate) fn check(address: CreateAddress, taxes: &StoreTaxes) -> Result<CreateAddress, Error> {
    let mut faults = Faults::default();
    let country_code = country(&address.country).unwrap_or_default();
    let region = |text: &str| line(text).and_then(|text| taxes.region(&country_code, &text));
    let checked = CreateAddress {
        name: faults.take("/name", line(&address.name)).unwrap_or_default(),
        company: faults.optional("/company", address.company.as_deref(), line),
        vat_id: faults.optional("/vatId", address.vat_id.as_deref(), line),
        line1: faults.take("/line1", line(&address.line1)).unwrap_or_default(),
        line2: faults.optional("/line2", address.line2.as_deref(), line),
        city: faults.take("/city", line(&address.city)).unwrap_or_default(),
        postal_code: faults.optional("/postalCode", address.postal_code.as_deref(), postal_code),
        region: faults.optional("/region", address.region.as_deref(), region),
        country: faults.take("/country", country(&address.country)).unwrap_or_default(),
        phone: faults.optional("/phone", address.phone.as_deref(), profile::phone),
        is_default: address.is_default,
    };
    faults.finish().map(|()| checked)
}

/// The address with the changes of a patch, not validated yet.
pub(crate) fn patched(mut address: CreateAddress, patch: UpdateAddress) -> CreateAddress {
    let set = |member: &mut String, value: Option<String>| {
        if let Some(value) = value {
            *member = value;
        }
    };
    set(&mut address.name, patch.name);
    set(&mut address.line1, patch.line1);
    set(&mut address.city, patch.city);
    set(&mut address.country, patch.country);
    let optional: [(&mut Option<String>, Patch<String>); 6] = [
        (&mut address.company, patch.company),
        (&mut address.vat_id, patch.vat_id),
        (&mut address.line2, patch.line2),
        (&mut address.postal_code, patch.postal_code),
        (&mut address.region, patch.region),
        (&mut address.phone, patch.phone),
    ];
    for (member, change) in optional {
        change.apply(member);
    }
    address.is_default = patch.is_default.unwrap_or(address.is_default);
    address
}
