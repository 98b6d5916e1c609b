//! Quoted prices by the quote's id, in the cache: losing one costs the buyer another request, never money.
//!
//! The terms of a quote are cached as digests, so the cache contains no address of a buyer.

use promox_contract::codes;
use promox_kernel::{Error, Timestamp};
use promox_storage::{Cache, CacheSpace};
use serde::{Deserialize, Serialize};

use super::assess::Assessment;
use super::entitlements::Entitlements;
use crate::rules::price::Priced;
use crate::tokens::digest_hex;

/// The terms that an order with a quote must match.
pub(crate) struct QuoteTerms {
    /// Must equal the quote's: items, codes, address, shipping method, points.
    pub(crate) required: String,
    /// Must include the quote's: the caller, the payment method, the destination. A quote without one of these has no
    /// price that depends on it, so an order may add it.
    pub(crate) optional: Vec<String>,
}

/// The cache space of quotes.
const QUOTES: CacheSpace = CacheSpace { name: "quotes", most: 20_000, most_bytes: 64 << 20 };

/// The quotes that can be redeemed.
#[derive(Debug)]
pub(crate) struct Quotes(Cache);

/// A quote as it is cached.
#[derive(Debug, Serialize, Deserialize)]
struct Quote {
    /// Digest of [`QuoteTerms::required`].
    goods: String,
    /// Digests of [`QuoteTerms::optional`].
    terms: Vec<String>,
    priced: Priced,
    extras: Entitlements,
}

impl Quotes {
    pub(crate) fn new(cache: Cache) -> Self {
        Self(cache)
    }

    /// Stores a price under an id from `now` until `expires_at`.
    pub(crate) async fn remember(
        &self,
        id: &str,
        terms: &QuoteTerms,
        assessment: &Assessment,
        (now, expires_at): (Timestamp, Timestamp),
    ) {
        let quote = Quote {
            goods: digest_hex(&terms.required),
            terms: terms.optional.iter().map(|term| digest_hex(term)).collect(),
            priced: assessment.priced.clone(),
            extras: Entitlements { address_key: None, buyer: None, ..assessment.entitlements.clone() },
        };
        self.0.put(QUOTES, id.as_bytes(), now, &quote, expires_at).await;
    }

    /// The quoted price and its entitlements. `own` are the entitlements of the order's own price. 409 `QUOTE_EXPIRED`
    /// for an unknown quote, 409 `QUOTE_MISMATCH` if the order differs from it.
    pub(crate) async fn redeem(
        &self,
        id: &str,
        terms: &QuoteTerms,
        own: Entitlements,
        now: Timestamp,
    ) -> Result<(Priced, Entitlements), Error> {
        let Some(quote) = self.0.get::<Quote>(QUOTES, id.as_bytes(), now).await else {
            return Err(Error::conflict(codes::QUOTE_EXPIRED, "The quote has expired; request a new one."));
        };
        let optional: Vec<String> = terms.optional.iter().map(|term| digest_hex(term)).collect();
        if quote.goods != digest_hex(&terms.required) || !quote.terms.iter().all(|term| optional.contains(term)) {
            let message = "The order has other items, codes, address or method than the quote, or the quote is \
                 another buyer's.";
            return Err(Error::conflict(codes::QUOTE_MISMATCH, message));
        }
        // The digests agree, so the order's address is the quote's; the buyer is the one who places the order.
        let buyer = own.buyer.filter(|_| !quote.extras.uses.is_empty());
        Ok((quote.priced, Entitlements { address_key: own.address_key, buyer, ..quote.extras }))
    }
}
