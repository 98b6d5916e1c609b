//! The audit log: a chain that reveals any change.

use promox_contract::audit::Audited;
use promox_storage::Tx;

use super::*;
use crate::api::{ListAudit, UpdateUser, UserStatus};
use crate::commands::audit_log::HEAD;
use crate::records::{AuditEntry, AuditHead};
use crate::rules::chain;

async fn told(shop: &Shop, actor: &str, action: &'static str, count: i64) {
    for number in 0..count {
        shop.advance(Duration::from_secs(1));
        let entry = Audited::new(actor.to_owned(), action, format!("product:{number}"), 1, 2);
        shop.emit(Database::Ecommerce, number, entry).await;
    }
    shop.consume_from(Database::Ecommerce).await;
}

#[tokio::test]
async fn every_filter_and_both_times_narrow_the_trail() {
    let shop = Shop::open().await;
    told(&shop, "user:1", "product.update", 2).await;
    told(&shop, "user:2", "product.update", 3).await;
    let middle = shop.node.clock.now();
    told(&shop, "user:1", "product.delete", 1).await;
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
async fn administrators_are_written_down() {
    let shop = Shop::open().await;
    let (admin, ada) = (shop.admin().await, shop.register("ada@example.com").await);
    shop.run(&admin, UpdateUser { id: ada.user.id, status: Some(UserStatus::Blocked), roles: None }).await.unwrap();
    shop.consume_from(Database::Ecommerce).await;
    let trail = shop.run(&admin, ListAudit { actor: Some("user:1".to_owned()), ..ListAudit::default() }).await.unwrap();
    let entry = &trail.items[0];
    assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("user.update", "user:2"));
    assert_eq!((&entry.before["status"], &entry.after["status"]), (&"ACTIVE".into(), &"BLOCKED".into()));
    assert!(!format!("{:?}", trail.items).contains("example.com"), "ids only");
}

#[tokio::test]
async fn a_trail_that_was_tampered_with_does_not_verify() {
    let tampering: [(&str, fn(&mut Tx<'_>)); 5] = [
        ("a field", |tx| {
            let entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            tx.put(&AuditEntry { actor: "user:9".to_owned(), ..entry }).unwrap();
        }),
        ("a field, with its own hash made anew", |tx| {
            let mut entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            entry.after = "3".to_owned();
            entry.hash = chain::hash(&entry);
            tx.put(&entry).unwrap();
        }),
        ("an entry taken out", |tx| {
            tx.delete::<AuditEntry>(&2).unwrap();
        }),
        ("the end cut off", |tx| {
            tx.delete::<AuditEntry>(&4).unwrap();
        }),
        ("text moved between fields", |tx| {
            let entry = tx.get::<AuditEntry>(&2).unwrap().unwrap();
            let (action, subject) = (format!("{}p", entry.action), entry.subject[1..].to_owned());
            tx.put(&AuditEntry { action, subject, ..entry }).unwrap();
        }),
    ];
    for (name, tamper) in tampering {
        let shop = Shop::open().await;
        told(&shop, "user:1", "product.update", 4).await;
        assert!(shop.findings().is_empty(), "{name}: whole before");
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
async fn the_head_says_where_the_trail_ends() {
    let shop = Shop::open().await;
    told(&shop, "user:1", "product.update", 3).await;
    let head = shop.db.read(|tx| tx.get::<AuditHead>(&HEAD)).await.unwrap().unwrap();
    let last = shop.db.read(|tx| tx.get::<AuditEntry>(&3)).await.unwrap().unwrap();
    assert_eq!((head.entries, head.hash), (3, last.hash));
}
