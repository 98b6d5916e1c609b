//! Changes to carts by jobs and events.

use std::time::Duration;

use promox_contract::cart::CartAbandoned;
use promox_contract::user::UserErased;
use promox_kernel::{Kind, UserId};
use promox_storage::{Database, StoreError};

use super::shop::{Shop, add};
use crate::api::GetCart;

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
