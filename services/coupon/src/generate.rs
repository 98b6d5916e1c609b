//! Generates the codes of a batch: drawn outside the transaction, checked against coupons and promotions, added in
//! chunks.

use promox_contract::promotion::FindPromotionCodes;
use promox_kernel::{Cx, Entropy, Error};
use promox_storage::Lane;

use crate::claims::Claim;
use crate::commands::batches;
use crate::records::{Batch, BatchByMaking};
use crate::rules::pattern::Pattern;
use crate::{Coupons, queries};

/// Codes per transaction, so that it delays others by a millisecond or two.
const CHUNK: i64 = 500;
/// Chunks per run of the job.
const CHUNKS: usize = 16;
/// Attempts to draw a free code before a batch ends. At least a thousand codes are possible for each that is generated,
/// so this happens only if nearly all are taken.
const TRIES: usize = 64;
/// Batches examined to choose the next.
const MAX_BATCHES: usize = 100;

impl Coupons {
    /// Generates codes of the batch with the fewest left. Returns whether there are more to generate.
    pub(crate) async fn make_codes(&self, cx: &Cx) -> Result<bool, Error> {
        let making = self.db.read(|tx| tx.scan_by::<BatchByMaking>().collect(MAX_BATCHES)).await?;
        let Some(batch) = making.into_iter().min_by_key(|batch| batch.count - batch.generated) else {
            return Ok(false);
        };
        let claim = claim_span(cx, &batch).await?;
        let made = self.make_chunks(cx, &batch).await;
        claim.release(cx).await;
        made.map(|()| true)
    }

    async fn make_chunks(&self, cx: &Cx, batch: &Batch) -> Result<(), Error> {
        let mut from = batch.generated;
        for _ in 0..CHUNKS {
            if !self.make_chunk(cx, batch, from).await? {
                break;
            }
            from += CHUNK;
        }
        Ok(())
    }

    async fn make_chunk(&self, cx: &Cx, batch: &Batch, from: i64) -> Result<bool, Error> {
        let (id, until) = (batch.id, batch.count.min(from + CHUNK));
        let Some(codes) = self.draw(cx, batch, from..until).await? else {
            self.db.write(cx, move |tx| batches::give_up(tx, id)).await?;
            return Ok(false);
        };
        Ok(self.db.write_in(cx, Lane::Bulk, move |tx| batches::add(tx, id, from, &codes)).await?)
    }

    /// A free code for each ordinal; `None` when one cannot be found.
    async fn draw(&self, cx: &Cx, batch: &Batch, ordinals: std::ops::Range<i64>) -> Result<Option<Vec<String>>, Error> {
        let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
        let entropy = &cx.node.entropy;
        let mut codes: Vec<String> =
            ordinals.clone().map(|ordinal| pattern.code(batch.count, ordinal, random(entropy))).collect();
        for _ in 0..TRIES {
            let taken = self.taken(cx, &codes).await?;
            if taken.is_empty() {
                return Ok(Some(codes));
            }
            for (ordinal, code) in ordinals.clone().zip(&mut codes) {
                if taken.contains(code) {
                    *code = pattern.code(batch.count, ordinal, random(entropy));
                }
            }
        }
        Ok(None)
    }

    /// The codes, in normal form, that a coupon or a promotion has.
    pub(crate) async fn taken(&self, cx: &Cx, codes: &[String]) -> Result<Vec<String>, Error> {
        let mut taken = self.db.read(|tx| queries::taken(tx, codes)).await?;
        taken.extend(cx.call(FindPromotionCodes { codes: codes.to_vec() }).await?.taken);
        Ok(taken)
    }
}

/// Claims all codes that a run may draw, so that no promotion takes one of them in the meantime.
async fn claim_span(cx: &Cx, batch: &Batch) -> Result<Claim, Error> {
    let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
    let chunks = CHUNK.saturating_mul(i64::try_from(CHUNKS).unwrap_or(0));
    let until = batch.count.min(batch.generated + chunks);
    let first = pattern.code(batch.count, batch.generated, 0);
    let last = pattern.code(batch.count, until - 1, pattern.stratum(batch.count) - 1);
    Claim::span(cx, format!("coupon_batch:{}", batch.id), (first, last)).await
}

fn random(entropy: &Entropy) -> u128 {
    u128::from_le_bytes(entropy.bytes())
}
