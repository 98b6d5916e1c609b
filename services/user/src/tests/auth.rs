//! Registration, login, refreshing of tokens, and one-time tokens.

use std::net::{IpAddr, Ipv4Addr};

use promox_contract::user::UserRegistered;
use promox_kernel::Entropy;
use promox_kernel::Kind;
use promox_storage::Tx;

use super::*;
use crate::api::{ChangePassword, ForgotPassword, GetMe, Logout, LogoutAll, Refresh, ResetPassword, VerifyEmail};

fn refresh(token: &Secret) -> Refresh {
    Refresh { refresh_token: token.clone() }
}

#[tokio::test]
async fn an_address_has_one_account_ignoring_case() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada@Example.com").await;
    assert_eq!((ada.user.id.0, ada.user.roles.as_slice(), ada.expires_in), (1, &["CUSTOMER".to_owned()][..], 900));
    let again = shop.run(shop.anonymous(), registration("ADA@example.COM")).await.unwrap_err();
    assert_eq!((again.kind(), again.code()), (Kind::Conflict, "EMAIL_TAKEN"));
    let friend = Register { referral_code: ada.user.referral_code.clone(), ..registration("eve@example.com") };
    let friend = shop.run(shop.anonymous(), friend).await.unwrap();
    let events = shop.events().await;
    let event = events.iter().rfind(|event| event.is::<UserRegistered>()).unwrap();
    let registered = event.fact::<UserRegistered>().unwrap();
    assert_eq!(
        (registered.user_id, registered.referral_code, registered.referrer),
        (friend.user.id, ada.user.referral_code, Some(ada.user.id))
    );
    shop.verify();
}

#[tokio::test]
async fn a_registration_reports_all_faults() {
    let shop = Shop::open().await;
    let faulty = Register {
        password: secret("password1"),
        name: Some(String::new()),
        phone: Some("call me".to_owned()),
        ..registration("ada@example.com")
    };
    let error = shop.run(shop.anonymous(), faulty).await.unwrap_err();
    let pointers: Vec<&str> = error.errors().iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/name", "/phone", "/password"]);
}

#[tokio::test]
async fn unknown_addresses_and_wrong_passwords_get_the_same_error() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let unknown = shop.login("eve@example.com", PASSWORD).await.unwrap_err();
    let wrong = shop.login("ada@example.com", "wrong horse").await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.code(), unknown.message()), (wrong.kind(), wrong.code(), wrong.message()));
    assert_eq!(wrong.code(), "INVALID_CREDENTIALS");
    assert!(shop.login("ADA@EXAMPLE.com", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn failed_logins_lock_the_account_for_their_network_temporarily() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    for _ in 0..5 {
        assert_eq!(shop.login("ada@example.com", "wrong").await.unwrap_err().code(), "INVALID_CREDENTIALS");
    }
    let locked = shop.login("ada@example.com", PASSWORD).await.unwrap_err();
    assert_eq!(
        (locked.kind(), locked.code(), locked.retry_after_seconds()),
        (Kind::Throttled, "ACCOUNT_LOCKED", Some(1))
    );
    let elsewhere = Cx { client: Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))), ..shop.anonymous() };
    assert!(
        shop.run(&elsewhere, login("ada@example.com", PASSWORD)).await.is_ok(),
        "other networks are not locked out"
    );
    for wait in [1, 2, 4, 8, 16] {
        shop.advance(Duration::from_secs(wait));
        assert_eq!(shop.login("ada@example.com", "wrong").await.unwrap_err().code(), "INVALID_CREDENTIALS");
    }
    shop.advance(Duration::from_secs(899));
    assert_eq!(shop.login("ada@example.com", PASSWORD).await.unwrap_err().retry_after_seconds(), Some(1));
    shop.advance(Duration::from_secs(1));
    assert!(shop.login("ada@example.com", PASSWORD).await.is_ok());
    assert_eq!(
        shop.login("ada@example.com", "wrong").await.unwrap_err().code(),
        "INVALID_CREDENTIALS",
        "failures are reset"
    );
}

#[tokio::test]
async fn a_late_reuse_of_a_refresh_token_ends_the_session() {
    let shop = Shop::open().await;
    let first = shop.register("ada@example.com").await;
    let other = shop.login("ada@example.com", PASSWORD).await.unwrap();
    let second = shop.run(shop.anonymous(), refresh(&first.refresh_token)).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    assert!(shop.bearer(&first.access_token).await.is_ok(), "the access token stays valid");
    shop.advance(Duration::from_secs(31));
    for token in [&first.refresh_token, &first.refresh_token, &second.refresh_token] {
        let reused = shop.run(shop.anonymous(), refresh(token)).await.unwrap_err();
        assert_eq!((reused.kind(), reused.code()), (Kind::Unauthenticated, "TOKEN_REUSED"));
    }
    for token in [&first.access_token, &second.access_token] {
        assert_eq!(shop.bearer(token).await.unwrap_err().code(), "SESSION_ENDED");
    }
    assert!(shop.bearer(&other.access_token).await.is_ok(), "another session stays live");
    assert!(shop.run(shop.anonymous(), refresh(&other.refresh_token)).await.is_ok());
    for malformed in [secret(""), secret("x"), secret(&"x".repeat(86))] {
        let unknown = shop.run(shop.anonymous(), refresh(&malformed)).await.unwrap_err();
        assert_eq!(
            (unknown.code(), unknown.message()),
            ("TOKEN_INVALID", "The refresh token is not valid: log in again.")
        );
    }
    shop.verify();
}

#[tokio::test]
async fn a_refresh_token_returns_the_same_successor_for_thirty_seconds() {
    let shop = Shop::open().await;
    let first = shop.register("ada@example.com").await;
    let exchange = async |token: &Secret| shop.run(shop.anonymous(), refresh(token)).await;
    let second = exchange(&first.refresh_token).await.unwrap();
    shop.advance(Duration::from_secs(20));
    let third = exchange(&second.refresh_token).await.unwrap();
    shop.advance(Duration::from_secs(10));
    for (token, next) in [(&first, &second), (&second, &third), (&first, &second)] {
        let again = exchange(&token.refresh_token).await.unwrap();
        assert_eq!(again.refresh_token, next.refresh_token);
        assert!(shop.bearer(&again.access_token).await.is_ok());
    }
    shop.verify();
    shop.advance(Duration::from_secs(1));
    assert_eq!(
        exchange(&second.refresh_token).await.unwrap().refresh_token,
        third.refresh_token,
        "the time counts from the first use of each token"
    );
    assert_eq!(exchange(&first.refresh_token).await.unwrap_err().code(), "TOKEN_REUSED");
    assert_eq!(exchange(&third.refresh_token).await.unwrap_err().code(), "TOKEN_REUSED", "the whole family is ended");
    shop.verify();
}

#[tokio::test]
async fn refresh_tokens_expire_and_are_pruned() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    shop.advance(Duration::from_hours(24 * 30));
    assert_eq!(shop.run(shop.anonymous(), refresh(&ada.refresh_token)).await.unwrap_err().code(), "TOKEN_EXPIRED");
    shop.advance(Duration::from_secs(1));
    shop.run_job("user.prune").await;
    assert_eq!(shop.run(shop.anonymous(), refresh(&ada.refresh_token)).await.unwrap_err().code(), "TOKEN_INVALID");
}

#[tokio::test]
async fn logging_out_takes_effect_at_once() {
    let shop = Shop::open().await;
    let (one, two) = (shop.register("ada@example.com").await, shop.login("ada@example.com", PASSWORD).await.unwrap());
    let three = shop.login("ada@example.com", PASSWORD).await.unwrap();
    let cx = shop.bearer(&one.access_token).await.unwrap();
    shop.run(&cx, Logout {}).await.unwrap();
    assert_eq!(shop.bearer(&one.access_token).await.unwrap_err().code(), "SESSION_ENDED");
    assert_eq!(shop.run(shop.anonymous(), refresh(&one.refresh_token)).await.unwrap_err().code(), "SESSION_ENDED");
    let cx = shop.bearer(&two.access_token).await.unwrap();
    shop.run(&cx, LogoutAll {}).await.unwrap();
    for ended in [two, three] {
        assert_eq!(shop.bearer(&ended.access_token).await.unwrap_err().code(), "SESSION_ENDED");
        assert!(shop.run(shop.anonymous(), refresh(&ended.refresh_token)).await.is_err());
    }
    let again = shop.login("ada@example.com", PASSWORD).await.unwrap();
    assert!(shop.bearer(&again.access_token).await.is_ok());
}

#[tokio::test]
async fn a_login_merges_the_guests_cart_and_succeeds_if_that_fails() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let guest = Cx { cart_token: Some("cart-secret".into()), ..shop.anonymous() };
    shop.run(&guest, login("ada@example.com", PASSWORD)).await.unwrap();
    {
        let merged = shop.stubs.merged.lock();
        assert_eq!((merged.len(), merged[0].cart_token.as_str(), merged[0].user_id), (1, "cart-secret", ada.user.id));
    }
    shop.stubs.down.store(true, Ordering::Relaxed);
    assert!(shop.run(&guest, login("ada@example.com", PASSWORD)).await.is_ok());
}

#[tokio::test]
async fn a_password_reset_works_once_and_ends_all_sessions() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    shop.run_job("user.send_messages").await;
    shop.stubs.messages.lock().clear();
    for address in ["nobody@example.com", "ADA@example.com"] {
        shop.run(shop.anonymous(), ForgotPassword { email: email(address) }).await.unwrap();
    }
    shop.stubs.down.store(true, Ordering::Relaxed);
    shop.run_job("user.send_messages").await;
    shop.stubs.down.store(false, Ordering::Relaxed);
    shop.advance(Duration::from_secs(20));
    shop.run_job("user.send_messages").await;
    {
        let messages = shop.stubs.messages.lock();
        assert_eq!(
            messages.len(),
            1,
            "only an address with an account gets a message, which is retried after a failure"
        );
        assert_eq!((messages[0].template.as_str(), messages[0].email.as_str()), ("password_reset", "ada@example.com"));
    }
    let token = shop.mailed_token();
    let reset = |password: &str| ResetPassword { token: token.clone(), password: secret(password) };
    assert!(shop.run(shop.anonymous(), reset("short")).await.is_err(), "a refused password does not use up the token");
    shop.run(shop.anonymous(), reset("a quite different one")).await.unwrap();
    assert_eq!(shop.run(shop.anonymous(), reset("and once more")).await.unwrap_err().code(), "TOKEN_INVALID");
    assert_eq!(shop.bearer(&ada.access_token).await.unwrap_err().code(), "SESSION_ENDED");
    assert!(shop.login("ada@example.com", PASSWORD).await.is_err());
    assert!(shop.login("ada@example.com", "a quite different one").await.unwrap().user.email_verified);
    shop.verify();
}

#[tokio::test]
async fn one_time_tokens_expire_and_serve_one_purpose() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    shop.run_job("user.send_messages").await;
    let token = shop.mailed_token();
    let reset = ResetPassword { token: token.clone(), password: secret("a quite different one") };
    assert_eq!(shop.run(shop.anonymous(), reset).await.unwrap_err().code(), "TOKEN_INVALID");
    shop.run(shop.anonymous(), VerifyEmail { token: token.clone() }).await.unwrap();
    assert!(shop.run(shop.anonymous(), VerifyEmail { token }).await.is_err());
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    assert!(shop.run(&cx, GetMe {}).await.unwrap().email_verified);
    shop.run(shop.anonymous(), ForgotPassword { email: email("ada@example.com") }).await.unwrap();
    shop.run_job("user.send_messages").await;
    let reset = ResetPassword { token: shop.mailed_token(), password: secret("a quite different one") };
    shop.advance(Duration::from_hours(1));
    assert_eq!(shop.run(shop.anonymous(), reset).await.unwrap_err().code(), "TOKEN_INVALID");
}

#[tokio::test]
async fn messages_to_one_address_are_limited() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    for _ in 0..20 {
        shop.run(shop.anonymous(), ForgotPassword { email: email("ada@example.com") }).await.unwrap();
        shop.run_job("user.send_messages").await;
    }
    let resets = shop.stubs.messages.lock().iter().filter(|message| message.template == "password_reset").count();
    assert_eq!(resets, 5);
}

#[tokio::test]
async fn a_changed_password_ends_only_the_other_sessions() {
    let shop = Shop::open().await;
    let (here, there) =
        (shop.register("ada@example.com").await, shop.login("ada@example.com", PASSWORD).await.unwrap());
    let cx = shop.bearer(&here.access_token).await.unwrap();
    let change = |current: &str| ChangePassword {
        current_password: secret(current),
        new_password: secret("a quite different one"),
    };
    assert_eq!(shop.run(&cx, change("wrong")).await.unwrap_err().errors()[0].code, "WRONG_PASSWORD");
    shop.run(&cx, change(PASSWORD)).await.unwrap();
    assert!(shop.bearer(&here.access_token).await.is_ok());
    assert!(shop.bearer(&there.access_token).await.is_err());
    assert!(shop.login("ada@example.com", "a quite different one").await.is_ok());
}

#[tokio::test]
async fn the_sessions_of_a_user_are_limited() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let open = move |tx: &mut Tx<'_>| {
        let token = crate::rules::secrets::RefreshToken::first(&Entropy::seeded(
            tx.next_id::<crate::records::Address>()?.unsigned_abs(),
        ));
        crate::commands::sessions::open(tx, ada.user.id, &token, Duration::from_hours(1)).map(drop)
    };
    for _ in 0..crate::queries::MAX_SESSIONS {
        shop.advance(Duration::from_secs(1));
        shop.db.write(&shop.cx(), open).await.unwrap();
    }
    assert_eq!(
        shop.bearer(&ada.access_token).await.unwrap_err().code(),
        "SESSION_ENDED",
        "the least recently used one is ended"
    );
    let live = shop.db.read(|tx| crate::queries::live_sessions(tx, ada.user.id)).await.unwrap();
    assert_eq!(live.len(), crate::queries::MAX_SESSIONS);
}
