//! From an event to a mail: exactly one delivery per event, every attempt kept, pauses, dead letters.

use promox_contract::order::OrderCreated;
use promox_testkit::sample::email;
use promox_testkit::sample::order_fact;
use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId, ProductId, VariantId};
use promox_contract::inventory::StockLow;
use promox_contract::notification::SendMessage;
use promox_contract::payment::PaymentRefunded;
use promox_contract::user::UserErased;
use promox_kernel::{Currency, Kind, Limit, UserId};
use serde_json::{Map, json};

use super::desk::{Desk, confirmed, registered};
use crate::api::{
    DeliveryStatus, ListDeliveries, PatchNotificationSettings, PutNotificationSettings, PutTemplate, RetryDelivery,
};
use crate::{MailTransport, MessageKind, rules};

#[tokio::test]
async fn an_event_becomes_one_mail() {
    let desk = Desk::open();
    desk.follow(1, confirmed(1)).await;
    desk.follow(2, confirmed(2)).await;
    let waiting = desk.deliveries().await;
    assert!(waiting.iter().all(|delivery| delivery.status == DeliveryStatus::Pending));
    desk.work().await;
    desk.consume().await;
    desk.work().await;
    let sent = desk.deliveries().await;
    assert_eq!(sent.len(), 2, "newest first");
    assert_eq!((sent[0].order_id, sent[0].status), (Some(OrderId(2)), DeliveryStatus::Sent));
    assert_eq!(sent[0].attempts.len(), 1);
    let mails = desk.mails();
    assert_eq!(mails.len(), 2);
    for part in ["To: ada@example.com", "Subject: Your order N-1", "A &lt;white&gt; holder", "15.30", "Hello Ada"] {
        assert!(mails[0].contains(part), "{part} in {}", mails[0]);
    }
    desk.verify();
}

#[tokio::test]
async fn each_event_is_written_about_in_its_own_words() {
    let desk = Desk::open();
    let refund = PaymentRefunded {
        payment_id: PaymentId(1),
        order_id: OrderId(2),
        amount: "7.65".parse().unwrap(),
        refunded: "7.65".parse().unwrap(),
        captured: "7.65".parse().unwrap(),
        currency: Currency::GBP,
        return_id: None,
    };
    desk.follow(1, refund).await;
    desk.follow(7, registered(7)).await;
    let low = StockLow {
        variant_id: VariantId(1),
        product_id: ProductId(1),
        sku: "85123A".parse().unwrap(),
        available: 3,
        threshold: 5,
    };
    desk.follow(1, low).await;
    desk.work().await;
    let mails = desk.mails();
    assert!(mails[0].contains("7.65 GBP") && mails[0].contains("guest@example.com"), "{}", mails[0]);
    assert!(mails[1].contains("Subject: Welcome to Tea & Co") && mails[1].contains("https://shop.example"));
    assert!(mails[2].contains("To: shop@example.com") && mails[2].contains("85123A"));
    desk.verify();
}

#[tokio::test]
async fn whom_nobody_knows_any_more_is_a_dead_letter() {
    let desk = Desk::open();
    desk.follow(3, confirmed(3)).await;
    desk.follow(4, confirmed(4)).await;
    desk.follow(9, registered(9)).await;
    desk.work().await;
    let dead = desk.deliveries().await;
    assert!(dead.iter().all(|delivery| delivery.status == DeliveryStatus::Dead && delivery.attempts.len() == 1));
    let op = |status| ListDeliveries { status: Some(status), limit: Limit::default(), cursor: None };
    assert_eq!(desk.cx().call(op(DeliveryStatus::Dead)).await.unwrap().items.len(), 3);
    assert!(desk.cx().call(op(DeliveryStatus::Sent)).await.unwrap().items.is_empty());
    desk.verify();
}

#[tokio::test]
async fn what_fails_is_tried_again_with_growing_pauses_until_it_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("mail");
    std::fs::write(&blocked, "a file where the folder should be").unwrap();
    let desk = Desk::with(folder, MailTransport::Files(blocked.clone()));
    desk.follow(1, confirmed(1)).await;
    for failed in 1..=rules::MAX_ATTEMPTS {
        desk.service.send_due(&desk.cx()).await.unwrap();
        desk.service.send_due(&desk.cx()).await.unwrap();
        let delivery = desk.deliveries().await.remove(0);
        assert_eq!(delivery.attempts.len(), failed, "once a pause");
        let given_up = failed == rules::MAX_ATTEMPTS;
        let want = if given_up { DeliveryStatus::Dead } else { DeliveryStatus::Failed };
        assert_eq!((delivery.status, delivery.next_attempt_at.is_none()), (want, given_up));
        desk.advance(rules::PAUSES.after(failed));
    }
    desk.verify();
    std::fs::remove_file(&blocked).unwrap();
    let id = desk.deliveries().await[0].id;
    let again = desk.cx().call(RetryDelivery { id }).await.unwrap();
    assert_eq!((again.status, again.attempts.len()), (DeliveryStatus::Pending, rules::MAX_ATTEMPTS));
    desk.work().await;
    assert_eq!(desk.deliveries().await[0].status, DeliveryStatus::Sent);
    assert_eq!(desk.cx().call(RetryDelivery { id }).await.unwrap_err().code(), "ALREADY_SENT");
    desk.verify();
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_no_attempt() {
    let desk = Desk::open();
    desk.follow(1, confirmed(1)).await;
    *desk.orders.away.lock() = true;
    desk.work().await;
    let waiting = desk.deliveries().await.remove(0);
    assert_eq!((waiting.status, waiting.attempts.len()), (DeliveryStatus::Pending, 0));
    *desk.orders.away.lock() = false;
    desk.advance(Duration::from_secs(31));
    desk.work().await;
    assert_eq!(desk.deliveries().await[0].status, DeliveryStatus::Sent);
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
    let desk = Desk::open();
    desk.cx().call(reset("reset:1", "first")).await.unwrap();
    desk.cx().call(reset("reset:1", "second")).await.unwrap();
    desk.verify();
    desk.work().await;
    let mails = desk.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("reset/first") && !mails[0].contains("second"));
    let kept = desk.db.read(|tx| tx.scan::<crate::records::MessageBody>().first()).await.unwrap();
    assert_eq!(kept, None);
    let unknown = SendMessage { template: "nonsense".to_owned(), ..reset("reset:2", "x") };
    assert_eq!(desk.cx().call(unknown).await.unwrap_err().kind(), Kind::NotFound);
    desk.verify();
}

#[tokio::test]
async fn who_waits_for_a_message_is_not_behind_a_rush_of_orders() {
    let desk = Desk::open();
    for _ in 0..100 {
        desk.follow(1, confirmed(1)).await;
    }
    desk.cx().call(reset("reset:1", "first")).await.unwrap();
    desk.service.send_due(&desk.cx()).await.unwrap();
    let mails = desk.mails();
    assert!(mails.len() < 100 && mails.iter().any(|mail| mail.contains("reset/first")), "{}", mails.len());
    desk.verify();
}

#[tokio::test]
async fn a_dead_letter_with_a_secret_cannot_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("mail");
    std::fs::write(&blocked, "").unwrap();
    let desk = Desk::with(folder, MailTransport::Files(blocked));
    desk.cx().call(reset("reset:1", "first")).await.unwrap();
    for failed in 1..=rules::MAX_ATTEMPTS {
        desk.service.send_due(&desk.cx()).await.unwrap();
        desk.advance(rules::PAUSES.after(failed));
    }
    let dead = desk.deliveries().await.remove(0);
    assert_eq!(dead.status, DeliveryStatus::Dead);
    assert_eq!(desk.cx().call(RetryDelivery { id: dead.id }).await.unwrap_err().code(), "MESSAGE_GONE");
    desk.verify();
}

#[tokio::test]
async fn a_template_that_fails_on_real_data_gives_way_to_the_built_in_one() {
    let desk = Desk::open();
    let put = PutTemplate {
        key: MessageKind::OrderConfirmed.key(),
        channel: None,
        locale: None,
        subject: "{{ order.number }}{% if order.number != 'K7QX-2M9R' %}{{ order.nothing }}{% endif %}".to_owned(),
        html: Some("<p>Own words</p>".to_owned()),
        text: "Own words".to_owned(),
    };
    desk.cx().call(put).await.unwrap();
    desk.follow(1, confirmed(1)).await;
    desk.work().await;
    assert!(desk.mails()[0].contains("Subject: Your order N-1"));
}

#[tokio::test]
async fn old_deliveries_and_mails_are_pruned() {
    let desk = Desk::open();
    desk.follow(1, confirmed(1)).await;
    desk.work().await;
    desk.advance(Duration::from_hours(24 * 40));
    desk.follow(2, confirmed(2)).await;
    desk.work().await;
    let left = desk.deliveries().await;
    assert_eq!((left.len(), left[0].order_id, desk.mails().len()), (1, Some(OrderId(2)), 1));
    desk.verify();
}

#[tokio::test]
async fn an_erased_user_is_forgotten() {
    let desk = Desk::open();
    desk.follow(1, confirmed(1)).await;
    desk.follow(7, registered(7)).await;
    desk.work().await;
    desk.cx().call(reset("reset:1", "first")).await.unwrap();
    desk.follow(7, UserErased { user_id: UserId(7) }).await;
    desk.work().await;
    assert_eq!(desk.mails().len(), 2, "what was not sent yet is not sent any more");
    assert_eq!(desk.deliveries().await.len(), 1, "the order's stays: it names the order only");
    let inbox = desk.db.read(|tx| tx.scan::<crate::records::InboxItem>().first()).await.unwrap();
    assert_eq!(inbox, None);
    desk.verify();
}

#[tokio::test]
async fn an_order_is_acknowledged_when_the_shop_wants_that() {
    let desk = Desk::open();
    desk.follow(1, OrderCreated(order_fact(1))).await;
    desk.work().await;
    assert_eq!(desk.deliveries().await.len(), 0, "a new store writes when the payment is complete");
    let set = |order_received| PatchNotificationSettings { order_received, version: None };
    let settings = desk.cx().call(set(Some(true))).await.unwrap();
    assert_eq!((settings.order_received, settings.version), (true, 1));
    assert_eq!(desk.cx().call(set(None)).await.unwrap(), settings, "what is not named stays");
    let stale = PutNotificationSettings { order_received: false, version: Some(0) };
    assert_eq!(desk.cx().call(stale).await.unwrap_err().code(), "VERSION_MISMATCH");
    desk.follow(1, OrderCreated(order_fact(1))).await;
    desk.follow(1, confirmed(1)).await;
    desk.work().await;
    let mails = desk.mails();
    assert_eq!(mails.len(), 2);
    let received = mails.iter().filter(|mail| mail.contains("Subject: We received your order N-1")).count();
    assert_eq!(received, 1, "{mails:?}");
    desk.verify();
}
