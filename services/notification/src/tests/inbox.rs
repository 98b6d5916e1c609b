//! The inbox and message preferences.

use promox_contract::order::OrderShipped;
use promox_contract::user::ExportNotifications;
use promox_kernel::{Kind, Limit, UserId};
use promox_testkit::sample::order_fact;

use super::desk::{Desk, confirmed, registered};
use crate::api::{GetPreferences, ListInbox, MarkRead, Notification, NotificationId, Preference, PutPreferences};
use crate::{Channel, MessageKind};

impl Desk {
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
async fn a_user_finds_orders_in_the_inbox_and_reads_them() {
    let desk = Desk::open();
    desk.follow(1, confirmed(1)).await;
    desk.follow(1, OrderShipped(order_fact(1))).await;
    desk.work().await;
    let inbox = desk.inbox(7, true).await;
    let titles: Vec<&str> = inbox.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Order N-1 shipped", "Order N-1 confirmed"]);
    assert_eq!(inbox[0].body, "It is on its way: Royal Mail, RM1.");
    let mark = |id, read, user| {
        let cx = desk.user(user);
        async move { cx.call(MarkRead { id, read }).await }
    };
    assert!(mark(inbox[0].id, true, 7).await.unwrap().read);
    assert_eq!(desk.inbox(7, true).await.len(), 1);
    assert_eq!(desk.inbox(7, false).await.len(), 2);
    assert!(!mark(inbox[0].id, false, 7).await.unwrap().read);
    assert_eq!(desk.inbox(7, true).await.len(), 2);
    assert_eq!(mark(inbox[0].id, true, 8).await.unwrap_err().kind(), Kind::NotFound, "another's is not there");
    assert_eq!(mark(NotificationId(99), true, 7).await.unwrap_err().kind(), Kind::NotFound);
    assert!(desk.inbox(8, false).await.is_empty());
    desk.verify();
}

#[tokio::test]
async fn what_is_not_wanted_is_not_sent_and_what_is_demanded_is() {
    let desk = Desk::open();
    desk.mute(MessageKind::Welcome, Channel::Email).await.unwrap();
    desk.follow(7, registered(7)).await;
    desk.work().await;
    assert_eq!((desk.mails().len(), desk.inbox(7, true).await.len()), (0, 1), "the inbox has it all the same");
    assert!(desk.deliveries().await.is_empty());
    desk.mute(MessageKind::OrderConfirmed, Channel::Inbox).await.unwrap();
    desk.follow(1, confirmed(1)).await;
    desk.work().await;
    assert_eq!((desk.mails().len(), desk.inbox(7, true).await.len()), (1, 1));
    for (kind, channel, code) in [
        (MessageKind::OrderConfirmed, Channel::Email, "MANDATORY_MESSAGE"),
        (MessageKind::PasswordReset, Channel::Email, "MANDATORY_MESSAGE"),
        (MessageKind::PasswordReset, Channel::Inbox, "INVALID_VALUE"),
        (MessageKind::StockLow, Channel::Email, "INVALID_VALUE"),
    ] {
        assert_eq!(desk.mute(kind, channel).await.unwrap_err().errors()[0].code, code, "{kind} {channel}");
    }
    let all = desk.user(7).call(GetPreferences {}).await.unwrap().preferences;
    let off: Vec<_> = all
        .iter()
        .filter(|preference| !preference.enabled)
        .map(|preference| (preference.kind, preference.channel))
        .collect();
    assert_eq!(off, [(MessageKind::OrderConfirmed, Channel::Inbox)], "setting them sets all");
    let export = desk.cx().call(ExportNotifications { user_id: UserId(7) }).await.unwrap().0;
    assert_eq!(export["inbox"].as_array().unwrap().len(), 1);
    desk.verify();
}
