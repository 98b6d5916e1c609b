//! Changes to carts by jobs and events.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use promox_contract::cart::{CartAbandoned, MergeGuestCart, PrepareCartReminder};
use promox_contract::user::UserErased;
use promox_kernel::{Cx, Kind, Locale, UserId};
use promox_storage::{Database, StoreError};

use super::shop::{Shop, add};
use crate::api::{DeleteCart, DeleteReminder, GetCart, SetReminder};

const DAY: Duration = Duration::from_hours(24);

impl Shop {
    async fn abandoned(&self) -> Vec<CartAbandoned> {
        let events = self.events().await;
        let facts = events.iter().filter(|event| event.is::<CartAbandoned>()).map(promox_storage::Event::fact);
        facts.collect::<Result<_, StoreError>>().unwrap()
    }
}

#[tokio::test]
async fn an_idle_cart_is_reported_once_until_it_is_changed() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let user = shop.user(1);
    add(&user, "A", 1).await.unwrap();
    shop.user(2).call(GetCart {}).await.unwrap();
    shop.work().await;
    assert!(shop.abandoned().await.is_empty());
    shop.advance(DAY + Duration::from_secs(1));
    shop.work().await;
    shop.work().await;
    shop.advance(DAY * 3);
    shop.work().await;
    let reported = shop.abandoned().await;
    assert_eq!((reported.len(), reported[0].user_id), (1, Some(UserId(1))), "an empty cart is not abandoned");
    add(&shop.user(1), "A", 1).await.unwrap();
    shop.advance(DAY * 2);
    shop.work().await;
    assert_eq!(shop.abandoned().await.len(), 2);
    shop.verify();
}

#[tokio::test]
async fn the_time_of_the_settings_applies_to_carts_that_were_left_before() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    add(&shop.user(1), "A", 1).await.unwrap();
    shop.advance(Duration::from_mins(31));
    shop.work().await;
    assert!(shop.abandoned().await.is_empty());
    shop.idle_minutes.store(30, Relaxed);
    shop.work().await;
    assert_eq!(shop.abandoned().await.len(), 1);
    let (_, cart) = shop.guest_cart(&[("A", 1)]).await;
    shop.idle_minutes.store(3 * 1_440, Relaxed);
    shop.advance(DAY * 2);
    shop.work().await;
    assert_eq!(shop.abandoned().await.len(), 1);
    shop.advance(DAY + Duration::from_secs(1));
    shop.work().await;
    let reported = shop.abandoned().await;
    assert_eq!((reported.len(), reported[1].version, reported[1].has_recipient), (2, cart.version, false));
    shop.verify();
}

#[tokio::test]
async fn a_reminder_is_prepared_for_an_unchanged_cart_and_one_version_of_it() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let (user, cart) = (shop.user(1), add(&shop.user(1), "A", 2).await.unwrap());
    let prepare = async |version| {
        let op = PrepareCartReminder { cart_id: cart.id, version };
        shop.cx().call(op).await.unwrap().reminder
    };
    shop.in_checkout.store(true, Relaxed);
    assert!(prepare(cart.version).await.is_none(), "it is being ordered");
    shop.in_checkout.store(false, Relaxed);
    assert!(prepare(cart.version - 1).await.is_none(), "it has changed");
    let reminder = prepare(cart.version).await.unwrap();
    assert_eq!((reminder.user_id, reminder.token, reminder.email), (Some(UserId(1)), None, None));
    assert_eq!((reminder.lines.len(), reminder.lines[0].quantity), (1, 2));
    assert!(prepare(cart.version).await.is_some(), "a repeated attempt");
    let changed = add(&user, "A", 1).await.unwrap();
    assert!(prepare(changed.version).await.is_none(), "there was one before");
    user.call(DeleteCart {}).await.unwrap();
    let filled = add(&user, "A", 1).await.unwrap();
    assert!(prepare(filled.version).await.is_some(), "the cart was filled again");
    shop.verify();
}

#[tokio::test]
async fn a_guest_agrees_to_a_reminder_whose_link_opens_the_cart() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let (token, cart) = shop.guest_cart(&[("A", 1)]).await;
    let guest = Cx { accept_language: Some("de-AT, en;q=0.5".into()), ..shop.guest(&token) };
    let prepare = async |version| {
        let op = PrepareCartReminder { cart_id: cart.id, version };
        shop.cx().call(op).await.unwrap().reminder
    };
    assert!(prepare(cart.version).await.is_none(), "the guest has not agreed");
    let set = |agreed| SetReminder { email: "guest@example.com".parse().unwrap(), agreed };
    assert_eq!(guest.call(set(false)).await.unwrap_err().errors()[0].pointer, "/agreed");
    assert_eq!(shop.user(1).call(set(true)).await.unwrap_err().errors()[0].pointer, "/email");
    let view = guest.call(set(true)).await.unwrap();
    assert_eq!(view.reminder_email.as_ref().map(ToString::to_string).as_deref(), Some("guest@example.com"));
    let reminder = prepare(view.version).await.unwrap();
    assert_eq!(reminder.languages.iter().map(Locale::as_str).collect::<Vec<_>>(), ["de-AT", "en"]);
    let link = shop.guest(&reminder.token.unwrap());
    assert_eq!(link.call(GetCart {}).await.unwrap().id, cart.id);
    // The guest logs in behind the link: the cart is merged, and there is nobody to be reminded.
    let merge = MergeGuestCart { cart_token: link.cart_token.clone().unwrap().to_string(), user_id: UserId(2) };
    shop.cx().call(merge).await.unwrap();
    assert_eq!(shop.user(2).call(GetCart {}).await.unwrap().items.len(), 1);
    shop.verify();
    // The agreement can be withdrawn.
    let (token, _) = shop.guest_cart(&[("A", 1)]).await;
    shop.guest(&token).call(set(true)).await.unwrap();
    shop.guest(&token).call(DeleteReminder {}).await.unwrap();
    assert_eq!(shop.guest(&token).call(GetCart {}).await.unwrap().reminder_email, None);
    shop.verify();
}

#[tokio::test]
async fn an_address_is_reminded_of_one_cart_in_a_week_and_a_caller_agrees_to_few() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let prepare = async |email: &str| {
        let (token, cart) = shop.guest_cart(&[("A", 1)]).await;
        let set = SetReminder { email: email.parse().unwrap(), agreed: true };
        let version = shop.guest(&token).call(set).await.unwrap().version;
        shop.cx().call(PrepareCartReminder { cart_id: cart.id, version }).await.unwrap().reminder
    };
    assert!(prepare("ann@example.com").await.is_some());
    for again in ["ann@example.com", "Ann+1@example.com", "ann@EXAMPLE.com"] {
        assert!(prepare(again).await.is_none(), "{again} was reminded of another cart");
    }
    assert!(prepare("bob@example.com").await.is_some(), "somebody else");
    shop.advance(DAY * 7 + Duration::from_secs(1));
    shop.work().await;
    assert!(prepare("ann@example.com").await.is_some(), "after a week");
    for n in 0..19 {
        prepare(&format!("guest{n}@example.com")).await;
    }
    let (token, _) = shop.guest_cart(&[("A", 1)]).await;
    let set = SetReminder { email: "one@example.com".parse().unwrap(), agreed: true };
    let error = shop.guest(&token).call(set.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Throttled, "TOO_MANY_ATTEMPTS"));
    shop.advance(Duration::from_hours(1));
    shop.guest(&token).call(set).await.unwrap();
    shop.verify();
}

#[tokio::test]
async fn idle_guest_carts_are_deleted_and_users_carts_are_kept() {
    let shop = Shop::open();
    shop.stock("A", 100, 1_000);
    add(&shop.user(1), "A", 1).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..150 {
        tokens.push(shop.guest_cart(&[("A", 1)]).await.0);
    }
    shop.advance(DAY * 29);
    add(&shop.guest(&tokens[0]), "A", 1).await.unwrap();
    shop.advance(DAY * 2);
    shop.work().await;
    assert!(shop.guest(&tokens[0]).call(GetCart {}).await.is_ok());
    assert_eq!(shop.guest(&tokens[1]).call(GetCart {}).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.guest(&tokens[149]).call(GetCart {}).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.user(1).call(GetCart {}).await.unwrap().items.len(), 1);
    shop.verify();
}

#[tokio::test]
async fn an_erased_users_cart_is_deleted() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let before = add(&shop.user(1), "A", 1).await.unwrap().id;
    add(&shop.user(2), "A", 1).await.unwrap();
    shop.emit(Database::Ecommerce, 1, UserErased { user_id: UserId(1) }).await;
    shop.consume().await;
    assert_ne!(shop.user(1).call(GetCart {}).await.unwrap().id, before);
    assert_eq!(shop.user(2).call(GetCart {}).await.unwrap().items.len(), 1);
    shop.verify();
}
