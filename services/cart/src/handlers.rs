//! Operations on carts: authorise, one read or write, convert.

use promox_contract::cart::{CartContents, CheckCart, EmptyCart, GetCartForCheckout, MergeGuestCart};
use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_contract::user::{ExportCarts, PersonalData};
use promox_kernel::{Cx, Error, Handle, Kind, UserId};
use promox_storage::{Transact, Transaction, Tx};
use serde_json::json;

use crate::api::{
    AddItem, CartView, CartWarning, ChangeItem, CreateCart, DeleteCart, GetCart, MergeCart, RemoveItem, SetCodes,
};
use crate::commands::{self, Change};
use crate::merge::{self, Merge};
use crate::queries::{self, Contents, Holder};
use crate::views::{available, sold_as, variant, view};
use crate::{Carts, reject, rules};

/// How often a merge retries when lines are added while stock is queried.
const MERGE_TRIES: u32 = 5;

impl Handle<CreateCart> for Carts {
    async fn handle(&self, cx: &Cx, _: CreateCart) -> Result<CartView, Error> {
        let token = cx.node.entropy.token();
        let holder = Holder::Guest(rules::token_hash(&token));
        let contents = self.db.write(cx, move |tx| commands::open(tx, &holder)).await?;
        let mut cart = view(cx, contents, Vec::new()).await?;
        cart.token = Some(token);
        Ok(cart)
    }
}

impl Handle<GetCart> for Carts {
    async fn handle(&self, cx: &Cx, _: GetCart) -> Result<CartView, Error> {
        let contents = self.current(cx, Holder::of(cx)?).await?;
        view(cx, contents, Vec::new()).await
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
        let of = sold_as(cx, &op.sku).await?.ok_or_else(|| reject::unknown_sku(&op.sku))?;
        let in_stock = in_stock(cx, of.variant_id).await?;
        let contents = self.db.write(cx, move |tx| commands::add(tx, &change, &of, quantity, in_stock)).await?;
        view(cx, contents, Vec::new()).await
    }
}

impl Handle<ChangeItem> for Carts {
    async fn handle(&self, cx: &Cx, op: ChangeItem) -> Result<CartView, Error> {
        let quantity = rules::quantity(op.quantity)?;
        let change = change(cx)?;
        let of = variant(cx, &op.sku).await?.ok_or_else(reject::no_line)?;
        let in_stock = in_stock(cx, of.variant_id).await?;
        let work = move |tx: &mut Tx<'_>| commands::set_quantity(tx, &change, &of, quantity, in_stock);
        let contents = self.db.write(cx, work).await?;
        view(cx, contents, Vec::new()).await
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
        let promotion = rules::promotion_code(op.promotion_code)?;
        let coupons = rules::coupon_codes(&op.coupon_codes)?;
        let change = change(cx)?;
        let work = move |tx: &mut Tx<'_>| commands::set_codes(tx, &change, promotion.clone(), coupons.clone());
        let contents = self.db.write(cx, work).await?;
        view(cx, contents, Vec::new()).await
    }
}

impl Handle<MergeCart> for Carts {
    async fn handle(&self, cx: &Cx, op: MergeCart) -> Result<CartView, Error> {
        let Some(user) = cx.principal.user() else { return Err(reject::no_cart()) };
        let (contents, warnings) = match self.merge(cx, &op.cart_token, user).await? {
            Merge::Done(contents, warnings) => (*contents, warnings),
            Merge::Before => (self.current(cx, Holder::User(user)).await?, Vec::<CartWarning>::new()),
            Merge::Unknown | Merge::Stale => return Err(reject::no_cart()),
        };
        view(cx, contents, warnings).await
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

    async fn merge(&self, cx: &Cx, token: &str, user: UserId) -> Result<Merge, Error> {
        let hash = rules::token_hash(token);
        for _ in 0..MERGE_TRIES {
            let variants = self.db.read(|tx| merge::guest_variants(tx, &hash)).await?;
            let stock = available(cx, variants).await?;
            let hash = hash.clone();
            match self.db.write(cx, move |tx| merge::merge(tx, &hash, user, &stock)).await? {
                Merge::Stale => {}
                decided => return Ok(decided),
            }
        }
        Err(Error::new(
            Kind::Conflict,
            codes::CART_BUSY,
            "The guest's cart is being changed by another request; try again.",
        ))
    }
}

fn change(cx: &Cx) -> Result<Change, Error> {
    Ok(Change { holder: Holder::of(cx)?, if_match: cx.if_match.clone() })
}

async fn in_stock(cx: &Cx, id: VariantId) -> Result<u32, Error> {
    let stock = available(cx, vec![id]).await?;
    Ok(stock.into_values().next().unwrap_or(0))
}
