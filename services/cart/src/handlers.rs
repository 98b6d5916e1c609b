//! Operations on carts: authorise, one read or write, convert.

use promox_contract::cart::{CartContents, CheckCart, EmptyCart, GetCartForCheckout, MergeGuestCart};
use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_contract::user::{ExportCarts, PersonalData};
use promox_kernel::{Cx, Error, Handle, Kind, UserId};
use promox_storage::{Transact, Transaction};
use serde_json::json;

use crate::api::{AddItem, CartView, ChangeItem, CreateCart, DeleteCart, GetCart, MergeCart, RemoveItem, SetCodes};
use crate::commands::{self, Change, Edit};
use crate::merge::{self, Plan};
use crate::queries::{self, Contents, Holder};
use crate::views::{TooLarge, available, sold_variant, variant, view};
use crate::{Carts, reject, rules};

/// Maximum attempts at a change; another is made when the cart was changed while it was being priced.
const MAX_TRIES: u32 = 64;

/// The outcome of a merge.
enum Merge {
    /// The carts were merged now.
    Done(Box<CartView>),
    /// The carts were merged before, or there is nothing to merge.
    AlreadyMerged,
    /// No guest's cart has this token, or it was merged into another user's.
    Unknown,
}

impl Handle<CreateCart> for Carts {
    async fn handle(&self, cx: &Cx, _: CreateCart) -> Result<CartView, Error> {
        let token = cx.node.entropy.token();
        let holder = Holder::Guest(rules::token_hash(&token));
        let contents = self.db.write(cx, move |tx| commands::open(tx, &holder)).await?;
        let mut cart = view(cx, contents, Vec::new(), TooLarge::Warn).await?;
        cart.token = Some(token);
        Ok(cart)
    }
}

impl Handle<GetCart> for Carts {
    async fn handle(&self, cx: &Cx, _: GetCart) -> Result<CartView, Error> {
        let contents = self.current(cx, Holder::of(cx)?).await?;
        view(cx, contents, Vec::new(), TooLarge::Warn).await
    }
}

impl Handle<DeleteCart> for Carts {
    async fn handle(&self, cx: &Cx, _: DeleteCart) -> Result<(), Error> {
        let change = change(cx)?;
        self.db.write(cx, move |tx| commands::delete(tx, &change)).await
    }
}

impl Handle<AddItem> for Carts {
    async fn handle(&self, cx: &Cx, op: AddItem) -> Result<CartView, Error> {
        let quantity = rules::quantity(op.quantity)?;
        let change = change(cx)?;
        let of = sold_variant(cx, &op.sku).await?.ok_or_else(|| reject::unknown_sku(&op.sku))?;
        let available = in_stock(cx, of.variant_id).await?;
        self.edit(cx, change, Edit::Add { of, more: quantity, available }).await
    }
}

impl Handle<ChangeItem> for Carts {
    async fn handle(&self, cx: &Cx, op: ChangeItem) -> Result<CartView, Error> {
        let quantity = rules::quantity(op.quantity)?;
        let change = change(cx)?;
        let of = variant(cx, &op.sku).await?.ok_or_else(reject::no_line)?;
        let available = in_stock(cx, of.variant_id).await?;
        self.edit(cx, change, Edit::SetQuantity { of, quantity, available }).await
    }
}

impl Handle<RemoveItem> for Carts {
    async fn handle(&self, cx: &Cx, op: RemoveItem) -> Result<(), Error> {
        let change = change(cx)?;
        let of = variant(cx, &op.sku).await?.ok_or_else(reject::no_line)?;
        self.db.write(cx, move |tx| commands::remove(tx, &change, &of)).await
    }
}

impl Handle<SetCodes> for Carts {
    async fn handle(&self, cx: &Cx, op: SetCodes) -> Result<CartView, Error> {
        let promotion_code = rules::promotion_code(op.promotion_code)?;
        let coupon_codes = rules::coupon_codes(&op.coupon_codes)?;
        self.edit(cx, change(cx)?, Edit::SetCodes { promotion_code, coupon_codes }).await
    }
}

impl Handle<MergeCart> for Carts {
    async fn handle(&self, cx: &Cx, op: MergeCart) -> Result<CartView, Error> {
        let Some(user) = cx.principal.user() else { return Err(reject::no_cart()) };
        match self.merge(cx, &op.cart_token, user).await? {
            Merge::Done(cart) => Ok(*cart),
            Merge::AlreadyMerged => {
                let contents = self.current(cx, Holder::User(user)).await?;
                view(cx, contents, Vec::new(), TooLarge::Warn).await
            }
            Merge::Unknown => Err(reject::no_cart()),
        }
    }
}

impl Handle<MergeGuestCart> for Carts {
    async fn handle(&self, cx: &Cx, op: MergeGuestCart) -> Result<(), Error> {
        self.merge(cx, &op.cart_token, op.user_id).await.map(drop)
    }
}

impl Handle<GetCartForCheckout> for Carts {
    async fn handle(&self, cx: &Cx, _: GetCartForCheckout) -> Result<CartContents, Error> {
        let holder = Holder::of(cx)?;
        let contents = self.db.read(|tx| queries::contents(tx, &holder)).await?;
        contents.ok_or_else(reject::no_cart)?.for_checkout()
    }
}

impl Transact<CheckCart> for Carts {
    async fn transaction(&self, cx: &Cx, op: CheckCart) -> Result<Transaction<()>, Error> {
        let holder = Holder::of(cx)?;
        Ok(self.db.transaction(move |tx| queries::check(tx, &holder, &op)))
    }
}

impl Transact<EmptyCart> for Carts {
    async fn transaction(&self, _: &Cx, op: EmptyCart) -> Result<Transaction<()>, Error> {
        Ok(self.db.transaction(move |tx| commands::empty(tx, &op)))
    }
}

impl Handle<ExportCarts> for Carts {
    async fn handle(&self, _: &Cx, op: ExportCarts) -> Result<PersonalData, Error> {
        let holder = Holder::User(op.user_id);
        let contents = self.db.read(|tx| queries::contents(tx, &holder)).await?;
        Ok(PersonalData(contents.map_or(json!(null), |contents| {
            json!({
                "items": contents.quantities(),
                "promotionCode": contents.cart.promotion_code,
                "couponCodes": contents.cart.coupon_codes.0,
                "createdAt": contents.cart.created_at,
                "updatedAt": contents.cart.updated_at,
            })
        })))
    }
}

impl Carts {
    /// The holder's cart; a user without one gets an empty one.
    async fn current(&self, cx: &Cx, holder: Holder) -> Result<Contents, Error> {
        if let Some(contents) = self.db.read(|tx| queries::contents(tx, &holder)).await? {
            return Ok(contents);
        }
        self.db.write(cx, move |tx| commands::current(tx, &holder)).await
    }

    /// Prices the cart that an edit leads to, then stores the edit if the cart has not changed meanwhile.
    async fn edit(&self, cx: &Cx, change: Change, edit: Edit) -> Result<CartView, Error> {
        for _ in 0..MAX_TRIES {
            let draft = self.db.read(|tx| commands::draft(tx, &change, &edit)).await?;
            let base = draft.base;
            let priced = view(cx, draft.contents, Vec::new(), TooLarge::Refuse).await?;
            let (change, edit) = (change.clone(), edit.clone());
            let made = self.db.write(cx, move |tx| commands::edit(tx, &change, &edit, base)).await?;
            if let Some(contents) = made {
                return Ok(priced.stored_as(&contents.cart));
            }
        }
        Err(busy("The cart is being changed by other requests; try again."))
    }

    /// Prices the cart that a merge leads to, then stores the merge if neither cart has changed meanwhile.
    async fn merge(&self, cx: &Cx, token: &str, user: UserId) -> Result<Merge, Error> {
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
        Err(busy("The guest's cart is being changed by another request; try again."))
    }
}

fn busy(message: &'static str) -> Error {
    Error::new(Kind::Conflict, codes::CART_BUSY, message)
}

fn change(cx: &Cx) -> Result<Change, Error> {
    Ok(Change { holder: Holder::of(cx)?, if_match: cx.if_match.clone() })
}

async fn in_stock(cx: &Cx, id: VariantId) -> Result<u32, Error> {
    let stock = available(cx, vec![id]).await?;
    Ok(stock.into_values().next().unwrap_or(0))
}
