//! The inbox and message preferences.

use promox_contract::order::OrderShipped;
use promox_contract::user::ExportNotifications;
use promox_kernel::{Kind, Limit, UserId};
use promox_testkit::sample::order_fact;

use super::shop::{Shop, confirmed, registered};
use crate::api::{GetPreferences, ListInbox, MarkRead, Notification, NotificationId, Preference, PutPreferences};
use crate::{Channel, MessageKind};

impl Shop {
    async fn inbox(&self, user: i64, unread: bool) -> Vec<Notification> {
        let op = ListInbox { unread, limit: Limit::default(), cursor: None };
        self.user(user).call(op).await.unwrap().items
    }

    async fn mute(&self, kind: MessageKind, channel: Channel) -> Result<(), promox_kernel::Error> {
        let preferences = vec![Preference { kind, channel, enabled: false, mandatory: None }];
        self.user(7).call(PutPreferences { preferences }).await.map(drop)
    }
}

#[tokio::test]
async fn order_events_appear_in_the_inbox_and_can_be_marked_as_read() {
    let shop = Shop::open();
    shop.publish(1, confirmed(1)).await;
    shop.publish(1, OrderShipped(order_fact(1))).await;
    shop.work().await;
    let inbox = shop.inbox(7, true).await;
    let titles: Vec<&str> = inbox.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Order N-1 shipped", "Order N-1 confirmed"]);
    assert_eq!(inbox[0].body, "It is on its way: Royal Mail, RM1.");
    let mark = |id, read, user| {
        let cx = shop.user(user);
        async move { cx.call(MarkRead { id, read }).await }
    };
    assert!(mark(inbox[0].id, true, 7).await.unwrap().read);
    assert_eq!(shop.inbox(7, true).await.len(), 1);
    assert_eq!(shop.inbox(7, false).await.len(), 2);
    assert!(!mark(inbox[0].id, false, 7).await.unwrap().read);
    assert_eq!(shop.inbox(7, true).await.len(), 2);
    assert_eq!(
        mark(inbox[0].id, true, 8).await.unwrap_err().kind(),
        Kind::NotFound,
        "another user's item is not found"
    );
    assert_eq!(mark(NotificationId(99), true, 7).await.unwrap_err().kind(), Kind::NotFound);
    assert!(shop.inbox(8, false).await.is_empty());
    shop.verify();
}

#[tokio::test]
async fn optional_messages_can_be_turned_off_and_mandatory_ones_cannot() {
    let shop = Shop::open();
    shop.mute(MessageKind::Welcome, Channel::Email).await.unwrap();
    shop.publish(7, registered(7)).await;
    shop.work().await;
    assert_eq!((shop.mails().len(), shop.inbox(7, true).await.len()), (0, 1), "the inbox item is still created");
    assert!(shop.deliveries().await.is_empty());
    shop.mute(MessageKind::OrderConfirmed, Channel::Inbox).await.unwrap();
    shop.publish(1, confirmed(1)).await;
    shop.work().await;
    assert_eq!((shop.mails().len(), shop.inbox(7, true).await.len()), (1, 1));
    for (kind, channel, code) in [
        (MessageKind::OrderConfirmed, Channel::Email, "MANDATORY_MESSAGE"),
        (MessageKind::PasswordReset, Channel::Email, "MANDATORY_MESSAGE"),
        (MessageKind::PasswordReset, Channel::Inbox, "INVALID_VALUE"),
        (MessageKind::StockLow, Channel::Email, "INVALID_VALUE"),
    ] {
        assert_eq!(shop.mute(kind, channel).await.unwrap_err().errors()[0].code, code, "{kind} {channel}");
    }
    let all = shop.user(7).call(GetPreferences {}).await.unwrap().preferences;
    let off: Vec<_> = all
        .iter()
        .filter(|preference| preference.enabled != preference.channel.is_on_by_default())
        .map(|preference| (preference.kind, preference.channel))
        .collect();
    assert_eq!(off, [(MessageKind::OrderConfirmed, Channel::Inbox)], "omitted preferences are enabled again");
    let export = shop.cx().call(ExportNotifications { user_id: UserId(7) }).await.unwrap().0;
    assert_eq!(export["inbox"].as_array().unwrap().len(), 1);
    shop.verify();
}
