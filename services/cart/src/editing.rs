//! Edits and merges: the cart that a change leads to is priced before it is stored.

use promox_contract::coupon::CountEnteredCodes;
use promox_kernel::{Cx, Error, UserId};

use crate::api::CartView;
use crate::commands::{self, Change, Edit};
use crate::merge::{self, Plan};
use crate::queries::{self, Contents, Holder};
use crate::views::{TooLarge, available, view};
use crate::{Carts, reject, rules};

/// Maximum attempts at a change; another is made when the cart was changed while it was being priced.
const MAX_TRIES: u32 = 64;

/// The outcome of a merge.
pub(crate) enum Merge {
    /// The carts were merged now.
    Done(Box<CartView>),
    /// The carts were merged before, or there is nothing to merge.
    AlreadyMerged,
    /// No guest's cart has this token, or it was merged into another user's.
    Unknown,
}

impl Carts {
    /// The holder's cart; a user without one gets an empty one.
    pub(crate) async fn current(&self, cx: &Cx, holder: Holder) -> Result<Contents, Error> {
        if let Some(contents) = self.db.read(|tx| queries::contents(tx, &holder)).await? {
            return Ok(contents);
        }
        self.db.write(cx, move |tx| commands::current(tx, &holder)).await
    }

    /// Prices the cart that an edit leads to, then stores the edit if the cart has not changed meanwhile.
    pub(crate) async fn edit(&self, cx: &Cx, change: Change, edit: Edit) -> Result<CartView, Error> {
        for _ in 0..MAX_TRIES {
            let draft = self.db.read(|tx| commands::draft(tx, &change, &edit)).await?;
            let changed = draft.changed_lines();
            let priced = view(cx, draft.contents, Vec::new(), TooLarge::Refuse).await?;
            let change = change.clone();
            let made = self.db.write(cx, move |tx| commands::edit(tx, &change, &changed)).await?;
            if let Some(cart) = made {
                return Ok(priced.stored_as(&cart));
            }
        }
        Err(reject::busy("The cart is being changed by other requests; try again."))
    }

    /// Counts the wrong ones among the codes that are not in the cart yet. 429 `TOO_MANY_GUESSES` if there are too many.
    pub(crate) async fn count_entered_codes(
        &self,
        cx: &Cx,
        entered: impl Iterator<Item = &String> + Clone + Send + Sync,
    ) -> Result<(), Error> {
        let holder = Holder::of(cx)?;
        let cart = self.db.read(|tx| queries::contents(tx, &holder)).await?.map(|contents| contents.cart);
        let is_new = |code: &&String| {
            !cart
                .as_ref()
                .is_some_and(|cart| cart.promotion_code.as_ref() == Some(*code) || cart.coupon_codes.0.contains(code))
        };
        let codes: Vec<String> = entered.filter(is_new).cloned().collect();
        if codes.is_empty() { Ok(()) } else { cx.call(CountEnteredCodes { codes }).await }
    }

    /// Prices the cart that a merge leads to, then stores the merge if neither cart has changed meanwhile.
    pub(crate) async fn merge(&self, cx: &Cx, token: &str, user: UserId) -> Result<Merge, Error> {
        let hash = rules::token_hash(token);
        for _ in 0..MAX_TRIES {
            let variants = self.db.read(|tx| merge::guest_variants(tx, &hash)).await?;
            let stock = available(cx, variants).await?;
            let planned = match self.db.read(|tx| merge::plan(tx, &hash, user, &stock)).await? {
                Plan::Ready(planned) => planned,
                Plan::AlreadyMerged => return Ok(Merge::AlreadyMerged),
                Plan::Unknown => return Ok(Merge::Unknown),
                Plan::Stale => continue,
            };
            let base = planned.base();
            let priced = view(cx, planned.draft.contents, planned.warnings, TooLarge::Refuse).await?;
            let hash = hash.clone();
            let made = self.db.write(cx, move |tx| merge::merge(tx, &hash, user, &stock, base)).await?;
            if let Some(contents) = made {
                return Ok(Merge::Done(Box::new(priced.stored_as(&contents.cart))));
            }
        }
        Err(reject::busy("The guest's cart is being changed by another request; try again."))
    }
}
