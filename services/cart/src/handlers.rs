//! Operations on carts: authorise, one read or write, convert.

use promox_contract::cart::{
    CartContents, CheckCart, EmptyCart, GetCartForCheckout, MergeGuestCart, PrepareCartReminder, PreparedCartReminder,
};
use promox_contract::order::IsCartInCheckout;
use promox_contract::user::{ExportCarts, PersonalData};
use promox_kernel::{Cx, Error, Handle};
use promox_storage::{Transact, Transaction, Tx};
use serde_json::json;

use crate::api::{
    AddItem, CartView, ChangeItem, CreateCart, DeleteCart, DeleteReminder, GetCart, MergeCart, RemoveItem, SetCodes,
    SetReminder,
};
use crate::commands::{self, Change, Edit};
use crate::editing::Merge;
use crate::queries::{self, Holder};
use crate::views::{TooLarge, in_stock, reminder_lines, sold_variant, variant, view};
use crate::{Carts, reject, rules};

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
        let change = Change::of(cx)?;
        self.db.write(cx, move |tx| commands::delete(tx, &change)).await
    }
}

impl Handle<AddItem> for Carts {
    async fn handle(&self, cx: &Cx, op: AddItem) -> Result<CartView, Error> {
        let quantity = rules::quantity(op.quantity)?;
        let change = Change::of(cx)?;
        let of = sold_variant(cx, &op.sku).await?.ok_or_else(|| reject::unknown_sku(&op.sku))?;
        let available = in_stock(cx, of.variant_id).await?;
        self.edit(cx, change, Edit::Add { of, more: quantity, available }).await
    }

    async fn check(&self, _: &Cx, op: AddItem) -> Result<(), Error> {
        rules::quantity(op.quantity).map(drop)
    }
}

impl Handle<ChangeItem> for Carts {
    async fn handle(&self, cx: &Cx, op: ChangeItem) -> Result<CartView, Error> {
        let quantity = rules::quantity(op.quantity)?;
        let change = Change::of(cx)?;
        let of = variant(cx, &op.sku).await?.ok_or_else(reject::no_line)?;
        let available = in_stock(cx, of.variant_id).await?;
        self.edit(cx, change, Edit::SetQuantity { of, quantity, available }).await
    }

    async fn check(&self, _: &Cx, op: ChangeItem) -> Result<(), Error> {
        rules::quantity(op.quantity).map(drop)
    }
}

impl Handle<RemoveItem> for Carts {
    async fn handle(&self, cx: &Cx, op: RemoveItem) -> Result<(), Error> {
        let change = Change::of(cx)?;
        let of = variant(cx, &op.sku).await?.ok_or_else(reject::no_line)?;
        self.db.write(cx, move |tx| commands::remove(tx, &change, &of)).await
    }
}

impl Handle<SetCodes> for Carts {
    async fn handle(&self, cx: &Cx, op: SetCodes) -> Result<CartView, Error> {
        let promotion_code = rules::promotion_code(op.promotion_code)?;
        let coupon_codes = rules::coupon_codes(&op.coupon_codes)?;
        let change = Change::of(cx)?;
        self.count_entered_codes(cx, promotion_code.iter().chain(&coupon_codes)).await?;
        self.edit(cx, change, Edit::SetCodes { promotion_code, coupon_codes }).await
    }
}

impl Handle<SetReminder> for Carts {
    async fn handle(&self, cx: &Cx, op: SetReminder) -> Result<CartView, Error> {
        rules::agreement(op.agreed)?;
        let change = Change::of_guest(cx)?;
        self.reminders.count(cx).await?;
        let languages = cx.languages();
        let work =
            move |tx: &mut Tx<'_>| commands::set_reminder(tx, &change, Some(op.email.clone()), languages.clone());
        let contents = self.db.write(cx, work).await?;
        view(cx, contents, Vec::new(), TooLarge::Warn).await
    }

    async fn check(&self, _: &Cx, op: SetReminder) -> Result<(), Error> {
        rules::agreement(op.agreed)
    }
}

impl Handle<DeleteReminder> for Carts {
    async fn handle(&self, cx: &Cx, _: DeleteReminder) -> Result<(), Error> {
        let change = Change::of_guest(cx)?;
        self.db.write(cx, move |tx| commands::set_reminder(tx, &change, None, Vec::new()).map(drop)).await
    }
}

impl Handle<PrepareCartReminder> for Carts {
    async fn handle(&self, cx: &Cx, op: PrepareCartReminder) -> Result<PreparedCartReminder, Error> {
        let in_checkout = cx.call(IsCartInCheckout { cart_id: op.cart_id }).await?.in_checkout;
        if in_checkout {
            return Ok(PreparedCartReminder { reminder: None });
        }
        let token = cx.node.entropy.token();
        let hash = rules::token_hash(&token);
        let prepared = self.db.write(cx, move |tx| Ok::<_, Error>(commands::prepare_reminder(tx, &op, &hash)?)).await?;
        let Some(contents) = prepared else { return Ok(PreparedCartReminder { reminder: None }) };
        let lines = reminder_lines(cx, &contents).await?;
        Ok(PreparedCartReminder { reminder: Some(queries::reminder(contents.cart, lines, token)) })
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
                "updatedAt": contents.cart.updated_at})
        })))
    }
}
