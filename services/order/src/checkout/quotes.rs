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

/// Quotes that are remembered.
const QUOTES: CacheSpace = CacheSpace { name: "quotes", most: 20_000, most_bytes: 64 << 20 };

/// The quotes that are good.
#[derive(Debug)]
pub(crate) struct Quotes(Cache);

#[derive(Debug, Serialize, Deserialize)]
struct Quote {
    /// The digest of what was asked.
    asked: String,
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
        asked: &str,
        priced: &Priced,
        extras: &Extras,
        times: (Timestamp, Timestamp),
    ) {
        let extras = Extras { address_key: None, ..extras.clone() };
        let quote = Quote { asked: digest_hex(asked), priced: priced.clone(), extras };
        self.0.put(QUOTES, id.as_bytes(), times.0, &quote, times.1);
    }

    /// The quoted price, when the order asks for the same as the quote did; `now_extras` are the order's own.
    pub(crate) fn redeem(
        &self,
        id: &str,
        asked: &str,
        now_extras: Extras,
        now: Timestamp,
    ) -> Result<(Priced, Extras), Error> {
        let Some(quote) = self.0.get::<Quote>(QUOTES, id.as_bytes(), now) else {
            return Err(Error::conflict("QUOTE_EXPIRED", "The quote is over; ask for a new one."));
        };
        if quote.asked != digest_hex(asked) {
            return Err(Error::conflict(
                "QUOTE_MISMATCH",
                "The order has other items, codes, address or method than the quote.",
            ));
        }
        // The address is the quote's own, as its digest has just said.
        Ok((quote.priced, Extras { address_key: now_extras.address_key, ..quote.extras }))
    }
}
