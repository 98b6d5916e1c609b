//! The audit log, whose hash chain reveals any change.

use promox_contract::audit::Audited;
use promox_storage::Tx;

use super::*;
use crate::api::{ListAudit, UpdateUser, UserStatus};
use crate::commands::audit_log::HEAD;
use crate::records::{AuditEntry, AuditHead};
use crate::rules::chain;

/// Appends `count` entries of an actor, one second apart.
async fn append(shop: &Shop, actor: &str, action: &'static str, count: i64) {
    for number in 0..count {
        shop.advance(Duration::from_secs(1));
        let entry = Audited::new(actor.to_owned(), action, format!("product:{number}"), 1, 2);
        shop.emit(Database::Ecommerce, number, entry).await;
    }
    shop.consume_from(Database::Ecommerce).await;
}

#[tokio::test]
async fn the_audit_log_is_filtered_by_actor_action_and_time() {
    let shop = Shop::open().await;
    append(&shop, "user:1", "product.update", 2).await;
    append(&shop, "user:2", "product.update", 3).await;
    let middle = shop.node.clock.now();
    append(&shop, "user:1", "product.delete", 1).await;
    let admin = shop.cx();
    let find = |actor: Option<&str>, action: Option<&str>, from, to| {
        let query = ListAudit {
            actor: actor.map(str::to_owned),
            action: action.map(str::to_owned),
            from,
            to,
            ..ListAudit::default()
        };
        let (shop, admin) = (&shop, &admin);
        async move { shop.run(admin, query).await.unwrap().items.into_iter().map(|entry| entry.id).collect::<Vec<_>>() }
    };
    assert_eq!(find(None, None, None, None).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(find(Some("user:1"), None, None, None).await, [6, 2, 1]);
    assert_eq!(find(None, Some("product.update"), None, None).await, [5, 4, 3, 2, 1]);
    assert_eq!(find(Some("user:1"), Some("product.update"), None, None).await, [2, 1]);
    assert_eq!(find(None, None, Some(middle), None).await, [6, 5]);
    assert_eq!(find(Some("user:2"), Some("product.update"), None, Some(middle)).await, [4, 3]);
    assert_eq!(find(Some("user"), None, None, None).await, [0_i64; 0]);
}

#[tokio::test]
async fn changes_by_administrators_are_logged() {
    let shop = Shop::open().await;
    let (admin, ada) = (shop.admin().await, shop.register("ada@example.com").await);
    shop.run(&admin, UpdateUser { id: ada.user.id, status: Some(UserStatus::Blocked), roles: None }).await.unwrap();
    shop.consume_from(Database::Ecommerce).await;
    let log = shop.run(&admin, ListAudit { actor: Some("user:1".to_owned()), ..ListAudit::default() }).await.unwrap();
    let entry = &log.items[0];
    assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("user.update", "user:2"));
    assert_eq!((&entry.before["status"], &entry.after["status"]), (&"ACTIVE".into(), &"BLOCKED".into()));
    assert!(!format!("{:?}", log.items).contains("example.com"), "entries contain ids only");
}

#[tokio::test]
async fn a_log_that_was_tampered_with_does_not_verify() {
    let tampering: [(&str, fn(&mut Tx<'_>)); 5] = [
        ("a changed field", |tx| {
            let entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            tx.put(&AuditEntry { actor: "user:9".to_owned(), ..entry }).unwrap();
        }),
        ("a field, with a recomputed hash", |tx| {
            let mut entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            entry.after = "3".to_owned();
            entry.hash = chain::hash(&entry);
            tx.put(&entry).unwrap();
        }),
        ("a deleted entry", |tx| {
            tx.delete::<AuditEntry>(&2).unwrap();
        }),
        ("a deleted last entry", |tx| {
            tx.delete::<AuditEntry>(&4).unwrap();
        }),
        ("text moved to another field", |tx| {
            let entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            let (action, subject) = (format!("{}p", entry.action), entry.subject[1..].to_owned());
            tx.put(&AuditEntry { action, subject, ..entry }).unwrap();
        }),
    ];
    for (name, tamper) in tampering {
        let shop = Shop::open().await;
        append(&shop, "user:1", "product.update", 4).await;
        assert!(shop.findings().is_empty(), "{name}: valid before");
        shop.db
            .write(&shop.cx(), move |tx| {
                tamper(tx);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let findings = shop.findings();
        assert!(findings.iter().any(|found| found.invariant == "audit: the hash chain verifies"), "{name}");
    }
}

#[tokio::test]
async fn the_head_records_the_end_of_the_log() {
    let shop = Shop::open().await;
    append(&shop, "user:1", "product.update", 3).await;
    let head = shop.db.read(|tx| tx.get::<AuditHead>(&HEAD)).await.unwrap().unwrap();
    let last = shop.db.read(|tx| tx.get::<AuditEntry>(&3)).await.unwrap().unwrap();
    assert_eq!((head.entries, head.hash), (3, last.hash));
}
