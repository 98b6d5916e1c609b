//! Reminders of abandoned carts: whom they are for, whether they are still wanted, and when they may be sent.

use jiff::tz::TimeZone;
use minijinja::Value;
use minijinja::value::Serde;
use promox_contract::cart::{CartReminder, CartReminderLine, PrepareCartReminder};
use promox_contract::ids::CartId;
use promox_contract::store::StoreProfile;
use promox_contract::user::{FindAccounts, UserDescription};
use promox_kernel::{Cx, Email, Error};
use promox_storage::Tx;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::kinds::{Channel, MessageKind};
use crate::records::Delivery;
use crate::sender::{Addressed, PrepareError};
use crate::templates::context::Members;
use crate::unsubscribing::{self, Recipient};
use crate::{Notifications, queries};

/// The page of the shop that shows the cart. A guest's link has the token that opens it.
const CART_PAGE: &str = "cart";
/// The page on which a recipient ends messages.
const UNSUBSCRIBE_PAGE: &str = "unsubscribe";

/// The data of a delivery about a cart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    cart_id: CartId,
    version: i64,
}

/// The cart as templates see it.
#[derive(Serialize)]
struct Cart {
    link: String,
    lines: Vec<CartReminderLine>,
}

impl Notifications {
    /// Queries the recipient and the template data of a reminder, unless it is no longer wanted or has to wait.
    pub(crate) async fn address_cart(
        &self,
        cx: &Cx,
        store: &StoreProfile,
        row: &Delivery,
    ) -> Result<Addressed, PrepareError> {
        let facts: Facts = serde_json::from_value(Json::Object(row.facts.0.clone())).map_err(Error::internal)?;
        let settings = self.db.read(queries::settings).await.map_err(Error::from)?;
        if !settings.sends(row.kind) {
            return Err(PrepareError::Unwanted);
        }
        let user = match row.user_id {
            Some(user) => Some(self.describe(cx, user).await?.ok_or(PrepareError::Unwanted)?),
            None => None,
        };
        // The cart is asked last: from then on it counts as reminded.
        let zone = user.as_ref().and_then(|user| user.timezone.as_deref()).unwrap_or(&store.timezone);
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        if let Some(until) = settings.quiet_hours.and_then(|hours| hours.end(cx.node.clock.now(), &zone)) {
            return Err(PrepareError::Quiet(until));
        }
        let prepared = cx.call(PrepareCartReminder { cart_id: facts.cart_id, version: facts.version }).await?;
        let reminder = prepared.reminder.ok_or(PrepareError::Unwanted)?;
        self.addressed(cx, row.kind, reminder, user).await
    }

    /// Whether an account with this address wants no such messages: its owner may be a guest somewhere else, or somebody
    /// else may have named the address.
    async fn is_muted_by_account(&self, cx: &Cx, kind: MessageKind, email: &Email) -> Result<bool, Error> {
        let accounts = cx.call(FindAccounts { emails: vec![email.clone()], ignore_plus_tags: false }).await?.ids;
        let is_muted = |tx: &Tx<'_>| {
            let mut muted = false;
            for user in &accounts {
                muted |= !queries::wants(&queries::changed(tx, *user)?, kind, Channel::Email);
            }
            Ok::<_, Error>(muted)
        };
        self.db.read(is_muted).await
    }

    /// The recipient of a reminder: the cart's user, or the guest who agreed.
    async fn addressed(
        &self,
        cx: &Cx,
        kind: MessageKind,
        reminder: CartReminder,
        user: Option<UserDescription>,
    ) -> Result<Addressed, PrepareError> {
        let CartReminder { email, languages, token, lines, .. } = reminder;
        let link = match token {
            Some(token) => format!("{}/{CART_PAGE}?token={token}", self.public_url),
            None => format!("{}/{CART_PAGE}", self.public_url),
        };
        let mut members = Members::from([("cart".to_owned(), Value::from(Serde(Cart { link, lines })))]);
        let recipient = match (&user, &email) {
            (Some(user), _) => Recipient::User(user.id),
            (None, Some(email)) => {
                let ended = self.db.read(|tx| unsubscribing::has_ended(tx, kind, email)).await.map_err(Error::from)?;
                if ended || self.is_muted_by_account(cx, kind, email).await? {
                    return Err(PrepareError::Unwanted);
                }
                Recipient::guest(email)
            }
            (None, None) => return Err(PrepareError::Unwanted),
        };
        let token = self.unsubscribe_token(cx, kind, &recipient).await?;
        let page = format!("{}/{UNSUBSCRIBE_PAGE}?token={token}", self.public_url);
        members.insert("unsubscribe".to_owned(), Value::from(page));
        let unsubscribe = Some(token);
        if let Some(UserDescription { id, email, name, phone, locale, timezone, .. }) = user {
            members.insert("name".to_owned(), Value::from(name));
            let locales = locale.into_iter().collect();
            return Ok(Addressed { to: email, user: Some(id), locales, timezone, phone, members, unsubscribe });
        }
        let to = email.ok_or(PrepareError::Unwanted)?;
        Ok(Addressed { to, user: None, locales: languages, timezone: None, phone: None, members, unsubscribe })
    }
}
