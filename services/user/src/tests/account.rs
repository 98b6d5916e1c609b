//! Profile, addresses, export, erasure.

use std::collections::BTreeMap;

use super::*;
use crate::api::{
    CreateAddress, DeleteAddress, EraseMe, ExportMe, GetMe, ListAddresses, Refresh, UpdateAddress, UpdateMe, UserStatus,
};
use promox_contract::order::OpenOrders;
use promox_contract::user::{DescribeUsers, ListBirthdays, UserErased, UserRegistered};
use promox_kernel::{Kind, Limit, Patch};
use promox_storage::Service as _;

fn address(name: &str) -> CreateAddress {
    CreateAddress {
        name: name.to_owned(),
        company: None,
        vat_id: None,
        line1: "12 St James's Square".to_owned(),
        line2: None,
        city: "London".to_owned(),
        postal_code: Some("SW1Y 4JH".to_owned()),
        region: None,
        country: "gb".to_owned(),
        phone: None,
        is_default: false,
    }
}

fn patch(json: serde_json::Value) -> UpdateAddress {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_profile_is_patched_and_faults_change_nothing() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    let change: UpdateMe = serde_json::from_value(serde_json::json!({
        "name": " Ada Lovelace ", "birthDate": "1990-12-10", "attributes": { "size": "M", "gone": null }
    }))
    .unwrap();
    let me = shop.run(&cx, change).await.unwrap();
    assert_eq!(
        (me.name.as_deref(), me.birth_date.as_deref(), me.version),
        (Some("Ada Lovelace"), Some("1990-12-10"), 2)
    );
    assert_eq!(me.attributes, BTreeMap::from([("size".to_owned(), "M".to_owned())]));
    let faulty: UpdateMe =
        serde_json::from_value(serde_json::json!({ "name": "", "birthDate": "2999-01-01", "phone": null })).unwrap();
    let error = shop.run(&cx, faulty).await.unwrap_err();
    let pointers: Vec<&str> = error.errors().iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/name", "/birthDate"]);
    assert_eq!(shop.run(&cx, GetMe {}).await.unwrap(), me);
    let stale = Cx { if_match: Some(1.into()), ..cx.clone() };
    let cleared = || UpdateMe { name: Patch::Clear, ..serde_json::from_str("{}").unwrap() };
    assert_eq!(shop.run(&stale, cleared()).await.unwrap_err().kind(), Kind::Precondition);
    assert_eq!(shop.run(&cx, cleared()).await.unwrap().name, None);
    shop.verify();
}

#[tokio::test]
async fn an_address_book_has_one_default() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.register("ada@example.com").await, shop.register("eve@example.com").await);
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    let first = shop.run(&cx, address("home")).await.unwrap();
    assert!(first.is_default && first.country == "GB");
    let second = shop.run(&cx, address("work")).await.unwrap();
    assert!(!second.is_default);
    let moved = shop.run(&cx, patch(serde_json::json!({ "id": second.id, "isDefault": true }))).await.unwrap();
    assert!(moved.is_default);
    let no_default = patch(serde_json::json!({ "id": second.id, "isDefault": false }));
    assert_eq!(shop.run(&cx, no_default).await.unwrap_err().errors()[0].pointer, "/isDefault");
    let wrong_country = patch(serde_json::json!({ "id": second.id, "country": "Great Britain" }));
    assert_eq!(shop.run(&cx, wrong_country).await.unwrap_err().errors()[0].pointer, "/country");
    let other = shop.bearer(&eve.access_token).await.unwrap();
    assert_eq!(shop.run(&other, DeleteAddress { id: first.id }).await.unwrap_err().kind(), Kind::NotFound);
    shop.run(&cx, DeleteAddress { id: second.id }).await.unwrap();
    let book = shop.run(&cx, ListAddresses { limit: Limit::default(), cursor: None }).await.unwrap().items;
    assert_eq!(book.iter().map(|entry| (entry.id, entry.is_default)).collect::<Vec<_>>(), [(first.id, true)]);
    shop.verify();
}

#[tokio::test]
async fn an_erased_user_leaves_only_the_id() {
    let shop = Shop::open().await;
    let named = Register { name: Some("Ada Lovelace".to_owned()), ..registration("ada@example.com") };
    let ada = shop.run(shop.anonymous(), named).await.unwrap();
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    shop.run(&cx, address("home")).await.unwrap();
    shop.run(&cx, EraseMe {}).await.unwrap();
    assert_eq!(shop.bearer(&ada.access_token).await.unwrap_err().code(), "SESSION_ENDED");
    let again = Refresh { refresh_token: ada.refresh_token };
    assert_eq!(shop.run(shop.anonymous(), again).await.unwrap_err().code(), "SESSION_ENDED");
    assert_eq!(shop.login("ada@example.com", PASSWORD).await.unwrap_err().code(), "INVALID_CREDENTIALS");
    shop.run_job("user.send_messages").await;
    assert!(shop.stubs.messages.lock().is_empty());
    let described = shop.run(shop.cx(), DescribeUsers { ids: vec![ada.user.id] }).await.unwrap();
    assert!(described.items.is_empty());
    let reader = shop.db.long_read().unwrap();
    for table in Users::TABLES {
        let range = promox_storage::KeyRange::all(table.space);
        for item in reader.scan(&range, promox_storage::Direction::Forward) {
            let (key, row) = item.unwrap();
            let bytes = [key, row.to_vec()].concat();
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            for trace in ["ada@", "lovelace", "james"] {
                assert!(!text.contains(trace), "{trace} is left in {}", table.name);
            }
        }
    }
    let events = shop.events().await;
    assert_eq!(events.iter().filter(|event| event.is::<UserErased>()).count(), 1);
    assert_ne!(shop.register("ada@example.com").await.user.id, ada.user.id, "the address can be registered again");
    shop.verify();
}

#[tokio::test]
async fn birthdays_are_found_by_day_until_the_user_is_erased() {
    let shop = Shop::open().await;
    let mut born = Vec::new();
    for (email, day) in
        [("a@example.com", "1990-12-10"), ("b@example.com", "2001-12-10"), ("c@example.com", "1990-02-28")]
    {
        let user = shop.register(email).await;
        let cx = shop.bearer(&user.access_token).await.unwrap();
        let change = serde_json::from_value(serde_json::json!({ "birthDate": day })).unwrap();
        shop.run::<UpdateMe>(&cx, change).await.unwrap();
        born.push((user.user.id, cx));
    }
    let on_days =
        |days: &[&str], after| ListBirthdays { days: days.iter().map(|day| (*day).to_owned()).collect(), after };
    let found = shop.run(shop.cx(), on_days(&["12-10"], None)).await.unwrap();
    assert_eq!((found.user_ids, found.next), (vec![born[0].0, born[1].0], None));
    let found = shop.run(shop.cx(), on_days(&["12-10", "02-28"], Some(born[0].0))).await.unwrap();
    assert_eq!(found.user_ids, [born[1].0, born[2].0]);
    shop.run(&born[1].1, EraseMe {}).await.unwrap();
    assert_eq!(shop.run(shop.cx(), on_days(&["12-10"], None)).await.unwrap().user_ids, [born[0].0]);
}

#[tokio::test]
async fn an_erasure_waits_for_orders_and_is_then_run_by_a_job() {
    let shop = Shop::open().await;
    let (ada, other) = (shop.register("ada@example.com").await, shop.login("ada@example.com", PASSWORD).await.unwrap());
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    let until = shop.node.clock.now() + Duration::from_hours(24);
    *shop.stubs.open.lock() = OpenOrders { open: 2, until: Some(until) };
    let requested = shop.run(&cx, EraseMe {}).await.unwrap();
    assert_eq!((requested.status, requested.open_orders, requested.not_before), (UserStatus::Erasing, 2, Some(until)));
    // All access is refused, except that the session of the request may repeat it and gets the same reply.
    assert_eq!(shop.bearer(&other.access_token).await.unwrap_err().code(), "SESSION_ENDED");
    assert_eq!(shop.login("ada@example.com", PASSWORD).await.unwrap_err().code(), "ERASURE_REQUESTED");
    let token = ada.access_token.0.clone();
    let strict = shop.anonymous().call(Authenticate { token, leaving: false }).await;
    assert_eq!(strict.unwrap_err().code(), "SESSION_ENDED");
    let refresh = Refresh { refresh_token: ada.refresh_token };
    assert_eq!(shop.run(shop.anonymous(), refresh).await.unwrap_err().code(), "SESSION_ENDED");
    assert_eq!(shop.run(&cx, EraseMe {}).await.unwrap(), requested);
    assert_eq!(shop.run(shop.anonymous(), registration("ada@example.com")).await.unwrap_err().code(), "EMAIL_TAKEN");
    let described = shop.run(shop.cx(), DescribeUsers { ids: vec![ada.user.id] }).await.unwrap();
    assert_eq!(described.items.len(), 1, "messages about its orders are still sent");
    let admin = shop.admin().await;
    let seen = shop.run(&admin, crate::api::GetUser { id: ada.user.id }).await.unwrap();
    assert_eq!(seen.erasure.map(|erasure| erasure.open_orders), Some(2));
    shop.verify();
    // The job checks it again, and retries when the order service is down.
    shop.stubs.down.store(true, std::sync::atomic::Ordering::Relaxed);
    shop.advance(Duration::from_hours(1));
    let job = shop.service.jobs().into_iter().find(|job| job.name == "user.erase").unwrap();
    assert!(job.run(shop.cx()).await.is_err());
    shop.stubs.down.store(false, std::sync::atomic::Ordering::Relaxed);
    *shop.stubs.open.lock() = OpenOrders::default();
    shop.run_job("user.erase").await;
    let erased = shop.run(&admin, crate::api::GetUser { id: ada.user.id }).await.unwrap();
    assert_eq!((erased.status, erased.email, erased.erasure), (UserStatus::Erased, None, None));
    assert!(shop.login("ada@example.com", PASSWORD).await.is_err());
    shop.register("ada@example.com").await;
    shop.verify();
}

#[tokio::test]
async fn users_cannot_refer_themselves_with_a_plus_tag() {
    let shop = Shop::open().await;
    let code = shop.register("ada@example.com").await.user.referral_code;
    let same_person = Register { referral_code: code.clone(), ..registration("Ada+2@example.com") };
    let same_person = shop.run(shop.anonymous(), same_person).await.unwrap().user.id;
    let friend = Register { referral_code: code, ..registration("eve@example.com") };
    let friend = shop.run(shop.anonymous(), friend).await.unwrap().user.id;
    let events = shop.events().await;
    let registered = events.iter().filter(|event| event.is::<UserRegistered>());
    let facts: Vec<UserRegistered> = registered.map(|event| event.fact().unwrap()).collect();
    let has_referrer = |id| facts.iter().find(|fact| fact.user_id == id).unwrap().referrer.is_some();
    assert!(!has_referrer(same_person) && has_referrer(friend));
}

#[tokio::test]
async fn an_export_is_complete_or_fails() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let cx = shop.bearer(&ada.access_token).await.unwrap();
    shop.run(&cx, address("home")).await.unwrap();
    let export = shop.run(&cx, ExportMe {}).await.unwrap();
    assert_eq!((export.account.id, export.addresses.len(), export.sessions.len()), (ada.user.id, 1, 1));
    for (part, service) in [
        (&export.orders, "order"),
        (&export.payments, "payment"),
        (&export.cart, "cart"),
        (&export.notifications, "notification"),
        (&export.rewards, "reward"),
    ] {
        assert_eq!(part["by"], service);
    }
    shop.stubs.down.store(true, Ordering::Relaxed);
    assert_eq!(shop.run(&cx, ExportMe {}).await.unwrap_err().kind(), Kind::Unavailable);
}
