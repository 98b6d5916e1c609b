//! Carts during the checkout.

use promox_contract::cart::{EmptyCart, GetCartForCheckout, MergeGuestCart};
use promox_contract::ids::OrderId;
use promox_contract::user::ExportCarts;
use promox_kernel::{Kind, UserId};

use super::shop::{Shop, add, lines};
use crate::api::{GetCart, SetCodes};

#[tokio::test]
async fn an_order_empties_the_cart_except_for_later_additions() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    shop.stock("B", 100, 10);
    let user = shop.user(1);
    assert_eq!(user.call(GetCartForCheckout {}).await.unwrap_err().kind(), Kind::NotFound);
    add(&user, "A", 2).await.unwrap();
    user.call(SetCodes { promotion_code: Some("X".to_owned()), coupon_codes: Vec::new() }).await.unwrap();
    let taken = user.call(GetCartForCheckout {}).await.unwrap();
    assert_eq!((taken.items.len(), taken.promotion_code.as_deref()), (1, Some("X")));
    add(&user, "B", 1).await.unwrap();
    let empty = |order, version| {
        let (cart_id, order_id) = (taken.cart_id, OrderId(order));
        let cx = shop.cx();
        async move { cx.call(EmptyCart { cart_id, order_id, version }).await }
    };
    empty(7, taken.version).await.unwrap();
    let left = vec![("B".to_owned(), 1)];
    assert_eq!(lines(&user, GetCart {}).await, left);
    empty(7, taken.version).await.unwrap();
    assert_eq!(lines(&user, GetCart {}).await, left, "a repeated request changes nothing");
    assert_eq!(empty(8, taken.version).await.unwrap_err().code(), "CART_ALREADY_ORDERED");
    let again = user.call(GetCartForCheckout {}).await.unwrap();
    assert_eq!(again.promotion_code, None, "the code was removed with the ordered contents");
    empty(9, again.version).await.unwrap();
    empty(7, taken.version).await.unwrap();
    assert_eq!(user.call(GetCartForCheckout {}).await.unwrap_err().code(), "CART_EMPTY");
    shop.verify();
}

#[tokio::test]
async fn a_login_merges_the_guests_cart_and_an_unknown_token_changes_nothing() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    let (token, _) = shop.guest_cart(&[("A", 2)]).await;
    let system = shop.cx();
    for cart_token in ["unknown".to_owned(), token.clone(), token] {
        system.call(MergeGuestCart { cart_token, user_id: UserId(3) }).await.unwrap();
    }
    assert_eq!(lines(&shop.user(3), GetCart {}).await, [("A".to_owned(), 2)]);
    let export = system.call(ExportCarts { user_id: UserId(3) }).await.unwrap();
    assert_eq!(export.0["items"][0]["quantity"], 2);
    assert!(system.call(ExportCarts { user_id: UserId(4) }).await.unwrap().0.is_null());
    shop.verify();
}
