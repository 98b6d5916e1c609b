//! The input of pricing: the request of an order, a quote or a cart.

use std::collections::BTreeMap;

use promox_contract::cart::CartContents;
use promox_contract::ids::FlashReservationId;
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::PriceCart;
use promox_kernel::Email;

use crate::address::Address;
use crate::api::PlaceOrder;

/// How pricing treats goods that cannot be bought as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// For an order: such goods are refused.
    Order,
    /// For a quote: such goods are reported. Unknown SKUs, which have no price, and an address or method without
    /// shipping are refused.
    Quote,
    /// For a cart, whose items may no longer be sold: such goods are left out.
    Cart,
}

/// A promotion or coupon code that the buyer entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedCode {
    pub(crate) code: String,
    /// Whether it was entered as a coupon code, which decides the wording of a refusal.
    pub(crate) is_coupon: bool,
    /// Whether it came with this request, and not from a cart that has it already.
    pub(crate) is_entered: bool,
}

/// Everything that can affect the price of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct PricingRequest {
    /// The items; `None` for those of the caller's cart.
    pub(crate) items: Option<Vec<SkuQuantity>>,
    promotion_codes: Vec<String>,
    coupon_codes: Vec<String>,
    /// Whether the codes are those of a cart.
    from_cart: bool,
    pub(crate) reservations: Vec<FlashReservationId>,
    pub(crate) points: Option<u32>,
    pub(crate) email: Option<Email>,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) shipping_method: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Whether the price of a quote replaces the calculated one.
    pub(crate) is_quoted: bool,
}

impl From<&PlaceOrder> for PricingRequest {
    fn from(body: &PlaceOrder) -> Self {
        Self {
            items: body.items.clone(),
            promotion_codes: body.promotion_code.iter().cloned().collect(),
            coupon_codes: body.coupon_code.iter().chain(&body.coupon_codes).cloned().collect(),
            reservations: body.flash_sale_reservation_ids.clone(),
            points: body.points_to_redeem,
            email: body.email.clone(),
            shipping_address: body.shipping_address.clone(),
            shipping_method: body.shipping_method.clone(),
            payment_method: body.payment.as_ref().map(|payment| payment.method.clone()),
            channel: body.channel.clone(),
            attributes: body.attributes.clone(),
            is_quoted: body.quote_id.is_some(),
            from_cart: false,
        }
    }
}

impl From<PriceCart> for PricingRequest {
    fn from(cart: PriceCart) -> Self {
        Self {
            items: Some(cart.items),
            promotion_codes: cart.promotion_code.into_iter().collect(),
            coupon_codes: cart.coupon_codes,
            from_cart: true,
            ..Self::default()
        }
    }
}

impl PricingRequest {
    /// The codes of the request and of the cart, without duplicates: promotion codes before coupon codes.
    pub(crate) fn codes(&self, cart: Option<&CartContents>) -> Vec<NamedCode> {
        let in_cart = cart.map(|cart| (&cart.promotion_code, &cart.coupon_codes));
        let promotions = self.promotion_codes.iter().chain(in_cart.into_iter().flat_map(|cart| cart.0));
        let coupons = self.coupon_codes.iter().chain(in_cart.into_iter().flat_map(|cart| cart.1));
        let is_in_cart =
            |code: &String| in_cart.is_some_and(|cart| cart.0.as_ref() == Some(code) || cart.1.contains(code));
        let all = promotions.map(|code| (code, false)).chain(coupons.map(|code| (code, true)));
        let mut codes: Vec<NamedCode> = Vec::new();
        for (code, is_coupon) in all {
            if !codes.iter().any(|known| known.code == *code) {
                let is_entered = !self.from_cart && !is_in_cart(code);
                codes.push(NamedCode { code: code.clone(), is_coupon, is_entered });
            }
        }
        codes
    }

    /// The shipping address in the form in which limits per address compare it.
    pub(crate) fn address_key(&self) -> Option<String> {
        self.shipping_address.as_ref().map(address_key)
    }
}

/// The country of an address, and the letters and digits of its lines, city and postal code in lower case.
fn address_key(address: &Address) -> String {
    let parts = [Some(&address.line1), address.line2.as_ref(), Some(&address.city), address.postal_code.as_ref()];
    let text: String =
        parts.into_iter().flatten().flat_map(|part| part.chars()).filter(|c| c.is_alphanumeric()).collect();
    format!("{} {}", address.country, text.to_lowercase())
}
