//! Quoted prices by the quote's id. They are kept in the cache only: a buyer whose quote is lost requests another.
//!
//! The terms of a quote are cached as digests, so that the cache contains no addresses of buyers.

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
    /// The terms that must equal the quote's: items, codes, address, shipping method and points.
    pub(crate) required: String,
    /// The terms that must include the quote's: the caller, the e-mail address, the payment method, the channel and the
    /// attributes. If a quote lacks one of these, its price does not depend on it, so an order may add it.
    pub(crate) optional: Vec<String>,
}

/// The cache space of quotes.
const QUOTES: CacheSpace = CacheSpace { name: "quotes", max_entries: 20_000, max_bytes: 64 << 20 };

/// The quotes that orders can use.
#[derive(Debug)]
pub(crate) struct Quotes(Cache);

/// A quote as it is cached.
#[derive(Debug, Serialize, Deserialize)]
struct Quote {
    /// The digest of [`QuoteTerms::required`].
    goods: String,
    /// The digests of [`QuoteTerms::optional`].
    terms: Vec<String>,
    priced: Priced,
    extras: Entitlements,
}

impl Quotes {
    pub(crate) fn new(cache: Cache) -> Self {
        Self(cache)
    }

    /// Caches a price under the quote's id from `now` until `expires_at`.
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

    /// The quoted price and its entitlements. `own` are the entitlements of the order's own price. Refused with 409
    /// `QUOTE_EXPIRED` if the quote is unknown, and with 409 `QUOTE_MISMATCH` if the order differs from it.
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
            let message = "The order differs from the quote in its items, codes, address or method, or the quote is \
                 another buyer's.";
            return Err(Error::conflict(codes::QUOTE_MISMATCH, message));
        }
        // The digests agree, so the order's address is the quote's. Uses are counted for the buyer who places the
        // order.
        let buyer = own.buyer.filter(|_| !quote.extras.uses.is_empty());
        Ok((quote.priced, Entitlements { address_key: own.address_key, buyer, ..quote.extras }))
    }
}
