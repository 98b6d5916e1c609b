//! Prices that were quoted, by the quote's id, for as long as they are good. In the cache: losing one costs the buyer another
//! question, never money.
//!
//! What a quote is bound to is kept as a digest, so no address of a buyer's lies in the cache.

use promox_kernel::{Error, Timestamp};
use promox_storage::{Cache, CacheSpace};
use serde::{Deserialize, Serialize};

use crate::checkout::Extras;
use crate::rules::pricing::Priced;
use crate::tokens::digest_hex;

/// What a quote is for, and an order that names it must be of.
pub(crate) struct Asked {
    /// What an order must have just so: items, codes, address, shipping method, points.
    pub(crate) goods: String,
    /// What may have decided prices where the quote named it: who asks, how is paid, where is sold. A quote that left it open
    /// got no price for it, so an order may name it.
    pub(crate) terms: Vec<String>,
}

/// Quotes that are remembered.
const QUOTES: CacheSpace = CacheSpace { name: "quotes", most: 20_000, most_bytes: 64 << 20 };

/// The quotes that are good.
#[derive(Debug)]
pub(crate) struct Quotes(Cache);

#[derive(Debug, Serialize, Deserialize)]
struct Quote {
    /// Digests of what was asked.
    goods: String,
    terms: Vec<String>,
    priced: Priced,
    extras: Extras,
}

impl Quotes {
    pub(crate) fn new(cache: Cache) -> Self {
        Self(cache)
    }

    /// Remembers a price from `times.0` until `times.1`.
    pub(crate) fn remember(
        &self,
        id: &str,
        asked: &Asked,
        priced: &Priced,
        extras: &Extras,
        times: (Timestamp, Timestamp),
    ) {
        let extras = Extras { address_key: None, buyer: None, ..extras.clone() };
        let terms = asked.terms.iter().map(|term| digest_hex(term)).collect();
        let quote = Quote { goods: digest_hex(&asked.goods), terms, priced: priced.clone(), extras };
        self.0.put(QUOTES, id.as_bytes(), times.0, &quote, times.1);
    }

    /// The quoted price, when the order asks for the same as the quote did; `now_extras` are the order's own.
    pub(crate) fn redeem(
        &self,
        id: &str,
        asked: &Asked,
        now_extras: Extras,
        now: Timestamp,
    ) -> Result<(Priced, Extras), Error> {
        let Some(quote) = self.0.get::<Quote>(QUOTES, id.as_bytes(), now) else {
            return Err(Error::conflict("QUOTE_EXPIRED", "The quote is over; ask for a new one."));
        };
        let terms: Vec<String> = asked.terms.iter().map(|term| digest_hex(term)).collect();
        if quote.goods != digest_hex(&asked.goods) || !quote.terms.iter().all(|term| terms.contains(term)) {
            let message = "The order has other items, codes, address or method than the quote, or is somebody else's.";
            return Err(Error::conflict("QUOTE_MISMATCH", message));
        }
        // The address is the quote's own, as its digest has just said; who buys is who orders.
        let buyer = now_extras.buyer.filter(|_| !quote.extras.uses.is_empty());
        Ok((quote.priced, Extras { address_key: now_extras.address_key, buyer, ..quote.extras }))
    }
}
