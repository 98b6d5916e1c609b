//! Generates the codes of batches. Codes are drawn outside the transaction, checked against coupons and promotions, and
//! added in chunks.

use promox_contract::promotion::FindPromotionCodes;
use promox_kernel::{Cx, Entropy, Error};
use promox_storage::Lane;

use crate::code_claims::CodeClaim;
use crate::commands::batches;
use crate::records::{Batch, BatchByMaking};
use crate::rules::pattern::Pattern;
use crate::{Coupons, queries};

/// Codes per transaction, few enough to delay other transactions by only a millisecond or two.
const CHUNK: i64 = 500;
/// Chunks per run of the job.
const CHUNKS_PER_RUN: usize = 16;
/// Attempts to draw a free code before the batch fails. At least 1,000 codes are possible for each that is generated,
/// so a batch fails only if nearly all of them are taken.
const MAX_TRIES: usize = 64;
/// Maximum batches examined to choose the next one.
const MAX_BATCHES: usize = 100;

impl Coupons {
    /// Generates codes of the batch that has the fewest left to generate. Returns false if there was none.
    pub(crate) async fn generate_codes(&self, cx: &Cx) -> Result<bool, Error> {
        let generating = self.db.read(|tx| tx.scan_by::<BatchByMaking>().collect(MAX_BATCHES)).await?;
        let Some(batch) = generating.into_iter().min_by_key(|batch| batch.count - batch.generated) else {
            return Ok(false);
        };
        let claim = claim_range(cx, &batch).await?;
        let made = self.generate_chunks(cx, &batch).await;
        claim.release(cx).await;
        made.map(|()| true)
    }

    async fn generate_chunks(&self, cx: &Cx, batch: &Batch) -> Result<(), Error> {
        let mut from = batch.generated;
        for _ in 0..CHUNKS_PER_RUN {
            if !self.generate_chunk(cx, batch, from).await? {
                break;
            }
            from += CHUNK;
        }
        Ok(())
    }

    /// Generates one chunk, starting at the ordinal `from`. Returns whether the batch needs more.
    async fn generate_chunk(&self, cx: &Cx, batch: &Batch, from: i64) -> Result<bool, Error> {
        let (id, until) = (batch.id, batch.count.min(from + CHUNK));
        let Some(codes) = self.draw(cx, batch, from..until).await? else {
            self.db.write(cx, move |tx| batches::mark_failed(tx, id)).await?;
            return Ok(false);
        };
        Ok(self.db.write_in(cx, Lane::Bulk, move |tx| batches::add(tx, id, from, &codes)).await?)
    }

    /// Draws a free code for each ordinal. Returns `None` if no free code was found for some ordinal.
    async fn draw(&self, cx: &Cx, batch: &Batch, ordinals: std::ops::Range<i64>) -> Result<Option<Vec<String>>, Error> {
        let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
        let entropy = &cx.node.entropy;
        let mut codes: Vec<String> =
            ordinals.clone().map(|ordinal| pattern.code(batch.count, ordinal, random(entropy))).collect();
        for _ in 0..MAX_TRIES {
            let taken = self.taken_codes(cx, &codes).await?;
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

    /// Those of the codes (in normal form) that a coupon or a promotion has.
    pub(crate) async fn taken_codes(&self, cx: &Cx, codes: &[String]) -> Result<Vec<String>, Error> {
        let mut taken = self.db.read(|tx| queries::taken_codes(tx, codes)).await?;
        taken.extend(cx.call(FindPromotionCodes { codes: codes.to_vec() }).await?.taken);
        Ok(taken)
    }
}

/// Claims all codes that a run may draw, so that no promotion takes one of them in the meantime.
async fn claim_range(cx: &Cx, batch: &Batch) -> Result<CodeClaim, Error> {
    let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
    let chunks = CHUNK.saturating_mul(i64::try_from(CHUNKS_PER_RUN).unwrap_or(0));
    let until = batch.count.min(batch.generated + chunks);
    let first = pattern.code(batch.count, batch.generated, 0);
    let last = pattern.code(batch.count, until - 1, pattern.stratum(batch.count) - 1);
    CodeClaim::span(cx, format!("coupon_batch:{}", batch.id), (first, last)).await
}

fn random(entropy: &Entropy) -> u128 {
    u128::from_le_bytes(entropy.bytes())
}
