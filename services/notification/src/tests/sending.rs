//! From an event to a mail: one delivery per event, recorded attempts, retries, dead deliveries.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId, ProductId, VariantId};
use promox_contract::inventory::StockLow;
use promox_contract::notification::SendMessage;
use promox_contract::order::OrderCreated;
use promox_contract::payment::PaymentRefunded;
use promox_contract::user::UserErased;
use promox_kernel::{Currency, Kind, Limit, Patch, UserId};
use promox_testkit::sample::{email, order_fact};
use serde_json::{Map, json};

use super::shop::{Shop, confirmed, registered};
use crate::api::{
    DeliveryStatus, ListDeliveries, PatchNotificationSettings, PutNotificationSettings, PutTemplate, RetryDelivery,
};
use crate::{MailTransport, MessageKind, rules};

#[tokio::test]
async fn an_event_leads_to_one_mail() {
    let shop = Shop::open();
    shop.publish(1, confirmed(1)).await;
    shop.publish(2, confirmed(2)).await;
    let waiting = shop.deliveries().await;
    assert!(waiting.iter().all(|delivery| delivery.status == DeliveryStatus::Pending));
    shop.work().await;
    shop.consume().await;
    shop.work().await;
    let sent = shop.deliveries().await;
    assert_eq!(sent.len(), 2, "newest first");
    assert_eq!((sent[0].order_id, sent[0].status), (Some(OrderId(2)), DeliveryStatus::Sent));
    assert_eq!(sent[0].attempts.len(), 1);
    let mails = shop.mails();
    assert_eq!(mails.len(), 2);
    for part in ["To: ada@example.com", "Subject: Your order N-1", "A &lt;white&gt; holder", "15.30", "Hello Ada"] {
        assert!(mails[0].contains(part), "{part} in {}", mails[0]);
    }
    shop.verify();
}

#[tokio::test]
async fn each_kind_of_event_has_its_own_message() {
    let shop = Shop::open();
    let refund = PaymentRefunded {
        payment_id: PaymentId(1),
        order_id: OrderId(2),
        amount: "7.65".parse().unwrap(),
        refunded: "7.65".parse().unwrap(),
        captured: "7.65".parse().unwrap(),
        currency: Currency::GBP,
        return_id: None,
        status: None,
    };
    shop.publish(1, refund).await;
    shop.publish(7, registered(7)).await;
    let low = StockLow {
        variant_id: VariantId(1),
        product_id: ProductId(1),
        sku: "85123A".parse().unwrap(),
        available: 3,
        threshold: 5,
    };
    shop.publish(1, low).await;
    shop.work().await;
    let mails = shop.mails();
    assert!(mails[0].contains("=C2=A37.65") && mails[0].contains("guest@example.com"), "{}", mails[0]);
    assert!(mails[1].contains("Subject: Welcome to Tea & Co") && mails[1].contains("https://shop.example"));
    assert!(mails[2].contains("To: shop@example.com") && mails[2].contains("85123A"));
    shop.verify();
}

#[tokio::test]
async fn a_delivery_without_a_recipient_is_dead() {
    let shop = Shop::open();
    shop.publish(3, confirmed(3)).await;
    shop.publish(4, confirmed(4)).await;
    shop.publish(9, registered(9)).await;
    shop.work().await;
    let dead = shop.deliveries().await;
    assert!(dead.iter().all(|delivery| delivery.status == DeliveryStatus::Dead && delivery.attempts.len() == 1));
    let op = |status| ListDeliveries { status: Some(status), limit: Limit::default(), cursor: None };
    assert_eq!(shop.cx().call(op(DeliveryStatus::Dead)).await.unwrap().items.len(), 3);
    assert!(shop.cx().call(op(DeliveryStatus::Sent)).await.unwrap().items.is_empty());
    shop.verify();
}

#[tokio::test]
async fn a_failed_delivery_is_retried_with_growing_pauses_until_it_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("mail");
    std::fs::write(&blocked, "a file where the folder should be").unwrap();
    let shop = Shop::with(folder, MailTransport::Files(blocked.clone()));
    shop.publish(1, confirmed(1)).await;
    for failed in 1..=rules::MAX_ATTEMPTS {
        shop.service.send_due(&shop.cx()).await.unwrap();
        shop.service.send_due(&shop.cx()).await.unwrap();
        let delivery = shop.deliveries().await.remove(0);
        assert_eq!(delivery.attempts.len(), failed, "there is one attempt per pause");
        let given_up = failed == rules::MAX_ATTEMPTS;
        let want = if given_up { DeliveryStatus::Dead } else { DeliveryStatus::Failed };
        assert_eq!((delivery.status, delivery.next_attempt_at.is_none()), (want, given_up));
        shop.advance(rules::PAUSES.after(failed));
    }
    shop.verify();
    std::fs::remove_file(&blocked).unwrap();
    let id = shop.deliveries().await[0].id;
    let again = shop.cx().call(RetryDelivery { id }).await.unwrap();
    assert_eq!((again.status, again.attempts.len()), (DeliveryStatus::Pending, rules::MAX_ATTEMPTS));
    shop.work().await;
    assert_eq!(shop.deliveries().await[0].status, DeliveryStatus::Sent);
    assert_eq!(shop.cx().call(RetryDelivery { id }).await.unwrap_err().code(), "ALREADY_SENT");
    shop.verify();
}

#[tokio::test]
async fn an_unavailable_service_does_not_count_as_an_attempt() {
    let shop = Shop::open();
    shop.publish(1, confirmed(1)).await;
    *shop.orders.unavailable.lock() = true;
    shop.work().await;
    let waiting = shop.deliveries().await.remove(0);
    assert_eq!((waiting.status, waiting.attempts.len()), (DeliveryStatus::Pending, 0));
    *shop.orders.unavailable.lock() = false;
    shop.advance(Duration::from_secs(31));
    shop.work().await;
    assert_eq!(shop.deliveries().await[0].status, DeliveryStatus::Sent);
}

fn reset(reference: &str, token: &str) -> SendMessage {
    SendMessage {
        reference: reference.to_owned(),
        template: "password_reset".to_owned(),
        email: email("ada@example.com"),
        user_id: Some(UserId(7)),
        locale: None,
        data: Map::from_iter([("link".to_owned(), json!(format!("https://shop.example/reset/{token}")))]),
    }
}

#[tokio::test]
async fn a_message_with_a_secret_is_sent_once_and_not_kept() {
    let shop = Shop::open();
    shop.cx().call(reset("reset:1", "first")).await.unwrap();
    shop.cx().call(reset("reset:1", "second")).await.unwrap();
    shop.verify();
    shop.work().await;
    let mails = shop.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("reset/first") && !mails[0].contains("second"));
    let kept = shop.db.read(|tx| tx.scan::<crate::records::MessageBody>().first()).await.unwrap();
    assert_eq!(kept, None);
    let unknown = SendMessage { template: "nonsense".to_owned(), ..reset("reset:2", "x") };
    assert_eq!(shop.cx().call(unknown).await.unwrap_err().kind(), Kind::NotFound);
    shop.verify();
}

#[tokio::test]
async fn a_requested_message_is_sent_before_messages_about_events() {
    let shop = Shop::open();
    for _ in 0..300 {
        shop.publish(1, confirmed(1)).await;
    }
    shop.cx().call(reset("reset:1", "first")).await.unwrap();
    shop.service.send_due(&shop.cx()).await.unwrap();
    let mails = shop.mails();
    assert!(mails.len() < 300 && mails.iter().any(|mail| mail.contains("reset/first")), "{}", mails.len());
    shop.verify();
}

#[tokio::test]
async fn a_dead_delivery_with_a_secret_cannot_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("mail");
    std::fs::write(&blocked, "").unwrap();
    let shop = Shop::with(folder, MailTransport::Files(blocked));
    shop.cx().call(reset("reset:1", "first")).await.unwrap();
    for failed in 1..=rules::MAX_ATTEMPTS {
        shop.service.send_due(&shop.cx()).await.unwrap();
        shop.advance(rules::PAUSES.after(failed));
    }
    let dead = shop.deliveries().await.remove(0);
    assert_eq!(dead.status, DeliveryStatus::Dead);
    assert_eq!(shop.cx().call(RetryDelivery { id: dead.id }).await.unwrap_err().code(), "MESSAGE_GONE");
    shop.verify();
}

#[tokio::test]
async fn the_built_in_template_is_used_if_the_merchants_fails_on_real_data() {
    let shop = Shop::open();
    let put = PutTemplate {
        key: MessageKind::OrderConfirmed.key(),
        channel: None,
        locale: None,
        subject: "{{ order.number }}{% if order.number != 'K7QX-2M9R' %}{{ order.nothing }}{% endif %}".to_owned(),
        html: Some("<p>Own words</p>".to_owned()),
        text: "Own words".to_owned(),
    };
    shop.cx().call(put).await.unwrap();
    shop.publish(1, confirmed(1)).await;
    shop.work().await;
    assert!(shop.mails()[0].contains("Subject: Your order N-1"));
}

#[tokio::test]
async fn old_deliveries_and_mails_are_pruned() {
    let shop = Shop::open();
    shop.publish(1, confirmed(1)).await;
    shop.work().await;
    shop.advance(Duration::from_hours(24 * 40));
    shop.publish(2, confirmed(2)).await;
    shop.work().await;
    let left = shop.deliveries().await;
    assert_eq!((left.len(), left[0].order_id, shop.mails().len()), (1, Some(OrderId(2)), 1));
    shop.verify();
}

#[tokio::test]
async fn an_erased_users_data_is_deleted() {
    let shop = Shop::open();
    shop.publish(1, confirmed(1)).await;
    shop.publish(7, registered(7)).await;
    shop.work().await;
    shop.cx().call(reset("reset:1", "first")).await.unwrap();
    shop.publish(7, UserErased { user_id: UserId(7) }).await;
    shop.work().await;
    assert_eq!(shop.mails().len(), 2, "unsent messages are not sent");
    assert_eq!(shop.deliveries().await.len(), 1, "the order's delivery stays: it names only the order");
    let inbox = shop.db.read(|tx| tx.scan::<crate::records::InboxItem>().first()).await.unwrap();
    assert_eq!(inbox, None);
    shop.verify();
}

#[tokio::test]
async fn a_placed_order_is_acknowledged_if_the_setting_is_on() {
    let shop = Shop::open();
    shop.publish(1, OrderCreated(order_fact(1))).await;
    shop.work().await;
    assert_eq!(shop.deliveries().await.len(), 0, "by default only complete payments are acknowledged");
    let set = |order_received| PatchNotificationSettings {
        order_received,
        cart_abandoned: None,
        cart_abandoned_minutes: None,
        quiet_hours: Patch::Keep,
        version: None,
    };
    let settings = shop.cx().call(set(Some(true))).await.unwrap();
    assert_eq!((settings.order_received, settings.version), (true, 1));
    assert_eq!(shop.cx().call(set(None)).await.unwrap(), settings, "omitted members stay unchanged");
    let stale = PutNotificationSettings {
        order_received: false,
        cart_abandoned: false,
        cart_abandoned_minutes: 60,
        quiet_hours: None,
        version: Some(0),
    };
    assert_eq!(shop.cx().call(stale).await.unwrap_err().code(), "VERSION_MISMATCH");
    shop.publish(1, OrderCreated(order_fact(1))).await;
    shop.publish(1, confirmed(1)).await;
    shop.work().await;
    let mails = shop.mails();
    assert_eq!(mails.len(), 2);
    let received = mails.iter().filter(|mail| mail.contains("Subject: We received your order N-1")).count();
    assert_eq!(received, 1, "{mails:?}");
    shop.verify();
}
