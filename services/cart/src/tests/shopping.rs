//! A shopper's requests: adding, changing and removing lines, entering codes, merging.

use promox_kernel::{Cx, Error, Kind, UserId};
use promox_storage::Tx;
use promox_testkit::sample::{pence, sku, variant};

use super::shop::{Shop, add, lines};
use crate::api::{ChangeItem, CreateCart, DeleteCart, GetCart, MergeCart, RemoveItem, SetCodes, WarningCode};
use crate::commands::Draft;
use crate::queries::Holder;

fn owned(lines: &[(&str, u32)]) -> Vec<(String, u32)> {
    lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
}

#[tokio::test]
async fn a_guests_cart_is_found_by_token_and_shows_current_prices() {
    let shop = Shop::open();
    shop.stock("B", 250, 100);
    shop.stock("A", 1_990, 5);
    let (token, cart) = shop.guest_cart(&[("B", 2), ("A", 1), ("b", 1)]).await;
    assert_eq!(token.len(), 43, "256 bits in base64url");
    assert!(cart.token.is_none(), "a token is shown once");
    let shown: Vec<_> = cart.items.iter().map(|item| (item.sku.as_str(), item.quantity, item.line_total)).collect();
    assert_eq!(shown, [("B", 3, Some(pence(750))), ("A", 1, Some(pence(1_990)))], "units of the same SKU are added up");
    assert_eq!(cart.totals.total, pence(2_740));
    shop.stock("B", 300, 100);
    let cart = shop.guest(&token).call(GetCart {}).await.unwrap();
    assert_eq!(cart.totals.total, pence(2_890));
    assert_eq!(cart.warnings, []);
    shop.verify();
}

#[tokio::test]
async fn an_unknown_or_missing_token_is_refused() {
    let shop = Shop::open();
    let error = shop.guest("guess").call(GetCart {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let anonymous = shop.anonymous();
    assert_eq!(anonymous.call(GetCart {}).await.unwrap_err().kind(), Kind::Unauthenticated);
    assert!(shop.user(1).call(GetCart {}).await.unwrap().items.is_empty(), "a user has a cart from the start");
}

#[tokio::test]
async fn quantities_are_limited_by_the_line_maximum_and_the_stock() {
    let shop = Shop::open();
    shop.stock("A", 100, 5);
    let user = shop.user(1);
    for quantity in [0, 10_000] {
        assert_eq!(add(&user, "A", quantity).await.unwrap_err().kind(), Kind::Schema);
    }
    assert_eq!(add(&user, "NONE", 1).await.unwrap_err().errors()[0].code, "UNKNOWN_SKU");
    add(&user, "A", 4).await.unwrap();
    let short = add(&user, "A", 2).await.unwrap_err();
    assert_eq!((short.kind(), short.code()), (Kind::Conflict, "INSUFFICIENT_STOCK"));
    assert_eq!((&short.members()["asked"], &short.members()["available"]), (&6.into(), &5.into()));
    let change = |quantity| user.call(ChangeItem { sku: sku("a"), quantity });
    assert_eq!(change(6).await.unwrap_err().code(), "INSUFFICIENT_STOCK");
    assert_eq!(change(5).await.unwrap().items[0].quantity, 5);
    assert_eq!(user.call(ChangeItem { sku: sku("B"), quantity: 1 }).await.unwrap_err().kind(), Kind::NotFound);
    user.call(RemoveItem { sku: sku("A") }).await.unwrap();
    assert_eq!(user.call(RemoveItem { sku: sku("A") }).await.unwrap_err().kind(), Kind::NotFound);
    shop.verify();
}

#[tokio::test]
async fn concurrent_additions_all_count() {
    let shop = Shop::open();
    shop.stock("A", 100, 9_999);
    let user = shop.user(1);
    let (a, b, c) = tokio::join!(add(&user, "A", 1), add(&user, "A", 2), add(&user, "A", 4));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(lines(&user, GetCart {}).await, owned(&[("A", 7)]));
}

#[tokio::test]
async fn a_change_that_names_an_older_version_is_refused() {
    let shop = Shop::open();
    shop.stock("A", 100, 50);
    let user = shop.user(1);
    let stale = add(&user, "A", 1).await.unwrap().version;
    let current = add(&user, "A", 1).await.unwrap().version;
    let at = |version: i64| {
        let cx = Cx { if_match: Some(version.into()), ..user.clone() };
        let carts = shop.service.clone();
        async move { promox_kernel::Handle::handle(&*carts, &cx, ChangeItem { sku: sku("A"), quantity: 9 }).await }
    };
    assert_eq!(at(stale).await.unwrap_err().kind(), Kind::Precondition);
    assert_eq!(at(current).await.unwrap().items[0].quantity, 9);
}

#[tokio::test]
async fn lines_that_can_no_longer_be_bought_have_a_warning() {
    let shop = Shop::open();
    for name in ["A", "B", "C"] {
        shop.stock(name, 100, 9);
    }
    let user = shop.user(1);
    for name in ["A", "B", "C"] {
        add(&user, name, 5).await.unwrap();
    }
    shop.stock("A", 100, 2);
    shop.catalog.0.lock().remove(&sku("B"));
    let cart = user.call(GetCart {}).await.unwrap();
    let warned: Vec<_> =
        cart.warnings.iter().map(|warning| (warning.code, warning.sku.clone().unwrap(), warning.available)).collect();
    let want =
        [(WarningCode::InsufficientStock, sku("A"), Some(2)), (WarningCode::ProductUnavailable, sku("B"), Some(0))];
    assert_eq!(warned, want);
    assert_eq!((cart.items[1].unit_price, cart.totals.total), (None, pence(1_000)));
    shop.catalog.0.lock().clear();
    let cart = user.call(GetCart {}).await.unwrap();
    assert_eq!((cart.items.len(), cart.totals.total), (3, pence(0)), "a cart of unsold products has a total of zero");
}

#[tokio::test]
async fn codes_that_do_not_apply_are_kept_with_a_warning() {
    let shop = Shop::open();
    shop.stock("A", 100, 9);
    let user = shop.user(1);
    add(&user, "A", 1).await.unwrap();
    let codes = SetCodes { promotion_code: Some("SUMMER".to_owned()), coupon_codes: vec!["X-1".to_owned()] };
    let cart = user.call(codes).await.unwrap();
    assert_eq!(cart.codes.promotion_code.as_deref(), Some("SUMMER"));
    let rejected: Vec<_> =
        cart.warnings.iter().map(|warning| (warning.code, warning.rejected_code.as_deref().unwrap())).collect();
    assert_eq!(rejected, [(WarningCode::CodeNotApplied, "SUMMER"), (WarningCode::CodeNotApplied, "X-1")]);
    let cart = user.call(SetCodes { promotion_code: None, coupon_codes: Vec::new() }).await.unwrap();
    assert_eq!((cart.codes.promotion_code, cart.warnings), (None, Vec::new()));
}

#[tokio::test]
async fn a_merge_adds_quantities_up_to_the_stock_once() {
    let shop = Shop::open();
    shop.stock("A", 100, 10);
    shop.stock("B", 100, 10);
    shop.stock("C", 100, 10);
    let (token, _) = shop.guest_cart(&[("A", 8), ("B", 3), ("C", 1)]).await;
    let codes = SetCodes { promotion_code: Some("GUEST".to_owned()), coupon_codes: vec!["G1".to_owned()] };
    shop.guest(&token).call(codes).await.unwrap();
    let user = shop.user(1);
    add(&user, "B", 2).await.unwrap();
    add(&user, "A", 5).await.unwrap();
    shop.stock("C", 100, 0);
    let merged = user.call(MergeCart { cart_token: token.clone() }).await.unwrap();
    let capped: Vec<_> = merged
        .warnings
        .iter()
        .filter(|warning| warning.code == WarningCode::QuantityCapped)
        .map(|item| (item.sku.clone().unwrap(), item.asked, item.available))
        .collect();
    assert_eq!(capped, [(sku("A"), Some(13), Some(10)), (sku("C"), Some(1), Some(0))]);
    assert_eq!(merged.codes.promotion_code.as_deref(), Some("GUEST"));
    let want = owned(&[("B", 5), ("A", 10)]);
    assert_eq!(lines(&user, GetCart {}).await, want);
    assert_eq!(lines(&user, MergeCart { cart_token: token.clone() }).await, want, "merging twice changes nothing");
    assert_eq!(
        shop.guest(&token).call(GetCart {}).await.unwrap_err().kind(),
        Kind::NotFound,
        "the guest's cart is closed"
    );
    let other = shop.user(2).call(MergeCart { cart_token: token }).await.unwrap_err();
    assert_eq!(other.kind(), Kind::NotFound);
    shop.verify();
}

#[tokio::test]
async fn concurrent_merges_count_once() {
    let shop = Shop::open();
    shop.stock("A", 100, 1_000);
    let (token, _) = shop.guest_cart(&[("A", 3)]).await;
    let user = shop.user(1);
    let merge = || user.call(MergeCart { cart_token: token.clone() });
    let (a, b) = tokio::join!(merge(), merge());
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(lines(&user, GetCart {}).await, owned(&[("A", 3)]));
}

#[tokio::test]
async fn a_cart_has_at_most_a_thousand_lines() {
    let shop = Shop::open();
    let user = shop.user(1);
    let names: Vec<String> = (0..1_001).map(|n| format!("S{n:04}")).collect();
    for name in &names {
        shop.stock(name, 100, 10);
    }
    let (token, _) = shop.guest_cart(&[("S1000", 1), ("S0000", 1)]).await;
    let first = names[..1_000].to_vec();
    let fill = move |tx: &mut Tx<'_>| {
        let mut draft = Draft::of(tx, &Holder::User(UserId(1)))?;
        for name in &first {
            draft.contents.put(variant(&sku(name)), &sku(name), 1);
        }
        draft.store(tx)?;
        Ok::<_, Error>(())
    };
    shop.db.write(&shop.cx(), fill).await.unwrap();
    assert_eq!(add(&user, "S1000", 1).await.unwrap_err().code(), "CART_FULL");
    add(&user, "S0000", 1).await.unwrap();
    let merged = user.call(MergeCart { cart_token: token }).await.unwrap();
    assert_eq!((merged.items.len(), merged.items[0].quantity, merged.warnings.len()), (1_000, 3, 1));
    user.call(DeleteCart {}).await.unwrap();
    assert!(user.call(GetCart {}).await.unwrap().items.is_empty());
    shop.verify();
}

#[tokio::test]
async fn a_deleted_guest_cart_is_not_found() {
    let shop = Shop::open();
    shop.stock("A", 100, 1_000);
    let (token, _) = shop.guest_cart(&[("A", 3)]).await;
    let guest = shop.guest(&token);
    guest.call(DeleteCart {}).await.unwrap();
    assert_eq!(guest.call(DeleteCart {}).await.unwrap_err().kind(), Kind::NotFound);
    assert_ne!(guest.call(CreateCart {}).await.unwrap().token.as_deref(), Some(token.as_str()));
    shop.verify();
}
