//! API keys: their last use, their expiry, and what their creator loses.

use super::*;
use crate::api::{CreateKey, DeleteKey, ListKeys};
use crate::records::ApiKey;

fn wanted(shop: &Shop, permissions: &[&str], lifetime: Option<Duration>) -> CreateKey {
    CreateKey {
        name: "A machine".to_owned(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        expires_at: lifetime.map(|lifetime| shop.node.clock.now() + lifetime),
        applications: vec!["reviews".to_owned()],
    }
}

#[tokio::test]
async fn a_key_expires_and_its_last_use_is_written() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let lifetime = Some(Duration::from_secs(60));
    let created = shop.run(&admin, wanted(&shop, &["user:read"], lifetime)).await.unwrap();
    let (id, key) = (created.api_key.id, created.key);
    let stored = async || shop.db.read(|tx| tx.get::<ApiKey>(&id)).await.unwrap().unwrap();
    assert!(!format!("{:?}", stored().await.hash).contains(&key.0) && stored().await.last_used_at.is_none());
    let caller = shop.bearer(&key).await.unwrap().principal;
    assert_eq!((caller.name(), caller.user()), (format!("key:{id}"), None));
    assert!(caller.allows("user:read") && !caller.allows("user:write"));
    let used = shop.node.clock.now();
    let listed = shop.run(&admin, ListKeys { limit: promox_kernel::Limit::default(), cursor: None }).await.unwrap();
    assert_eq!(listed.items[0].last_used_at, Some(used), "before it is written");
    shop.run_job("user.record_key_uses").await;
    assert_eq!(stored().await.last_used_at, Some(used));
    shop.advance(Duration::from_secs(60));
    assert_eq!(shop.bearer(&key).await.unwrap_err().code(), "KEY_INVALID");
    shop.run(&admin, DeleteKey { id }).await.unwrap();
    assert_eq!(shop.bearer(&key).await.unwrap_err().code(), "KEY_INVALID");
    shop.verify();
}

#[tokio::test]
async fn a_key_cannot_create_keys() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let created = shop.run(&admin, wanted(&shop, &["apikey:write"], None)).await.unwrap();
    let caller = shop.bearer(&created.key).await.unwrap();
    let refused = shop.run(&caller, wanted(&shop, &["apikey:write"], None)).await.unwrap_err();
    assert_eq!(refused.kind(), promox_kernel::Kind::Forbidden);
}
