//! The printable invoice, in English or German.

use askama::Template;
use jiff::tz::TimeZone;
use promox_contract::store::StoreProfile;
use promox_kernel::{Amount, Error, Locale};

use crate::api::OrderView;

/// The words of an invoice.
struct Words {
    language: &'static str,
    invoice: &'static str,
    vat_id: &'static str,
    item: &'static str,
    quantity: &'static str,
    price: &'static str,
    discount: &'static str,
    tax: &'static str,
    total: &'static str,
    goods: &'static str,
    shipping: &'static str,
    shipping_discount: &'static str,
    included: &'static str,
    points: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    invoice: "Invoice",
    vat_id: "VAT ID",
    item: "Item",
    quantity: "Quantity",
    price: "Price",
    discount: "Discount",
    tax: "Tax",
    total: "Total",
    goods: "Goods",
    shipping: "Shipping",
    shipping_discount: "Shipping discount",
    included: "included",
    points: "Paid with points",
};

const GERMAN: Words = Words {
    language: "de",
    invoice: "Rechnung",
    vat_id: "USt-IdNr.",
    item: "Artikel",
    quantity: "Menge",
    price: "Preis",
    discount: "Rabatt",
    tax: "Steuer",
    total: "Gesamtsumme",
    goods: "Waren",
    shipping: "Versand",
    shipping_discount: "Rabatt auf den Versand",
    included: "enthalten",
    points: "Mit Punkten bezahlt",
};

#[derive(Template)]
#[template(path = "invoice.html")]
struct Invoice<'a> {
    store: &'a StoreProfile,
    order: &'a OrderView,
    words: &'a Words,
    locale: Locale,
}

impl Invoice<'_> {
    fn money(&self, amount: &Amount) -> String {
        self.locale.amount(*amount, self.order.currency)
    }

    /// The day of the order in the store's zone.
    fn date(&self) -> String {
        let zone = TimeZone::get(&self.store.timezone).unwrap_or(TimeZone::UTC);
        self.locale.date(self.order.created_at, &zone)
    }
}

/// Renders the invoice of an order as HTML, in the first of `languages` that there is, else the store's, else English.
/// Values are escaped.
pub(crate) fn render(store: &StoreProfile, order: &OrderView, languages: &[Locale]) -> Result<String, Error> {
    let wanted = languages.iter().cloned().chain(store.locale.parse::<Locale>()).chain([Locale::english()]);
    let words = |locale: &Locale| [&ENGLISH, &GERMAN].into_iter().find(|words| words.language == locale.language());
    let found = wanted.into_iter().find_map(|locale| Some((words(&locale)?, locale)));
    let (words, locale) = found.unwrap_or((&ENGLISH, Locale::english()));
    Invoice { store, order, words, locale }.render().map_err(Error::internal)
}
