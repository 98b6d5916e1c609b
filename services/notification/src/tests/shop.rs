//! A harness with the notification service, stubs of orders, users and the store, and mail written to a folder.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::ids::{OrderId, ProductId};
use promox_contract::order::{DescribeOrder, OrderConfirmed, OrderDescription, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescription, UserDescriptions, UserRegistered};
use promox_kernel::{Amount, Currency, Cx, Email, Error, Fact, Limit, Timestamp, UserId};
use promox_storage::Database;
use promox_testkit::sample::{email, order_fact, order_line, pence, sku, store_profile, totals, user_description};
use promox_testkit::{Harness, Setup};
use tempfile::TempDir;

use crate::api::{DeliveryView, ListDeliveries};
use crate::webhooks::WebhookSettings;
use crate::{MailSettings, MailTransport, Notifications, SmsSettings};

/// A stub of the order service. Order 1 is user 7's, order 2 a guest's, the buyer of order 3 was erased; there are no
/// others.
#[derive(Default)]
pub(super) struct Orders {
    /// Whether the order service is unavailable.
    pub(super) unavailable: Mutex<bool>,
}

impl Orders {
    fn describe(&self, _: &Cx, op: DescribeOrder) -> Result<OrderDescription, Error> {
        if *self.unavailable.lock() {
            return Err(Error::unavailable("BUSY", "Try again.", 1));
        }
        let (user_id, email) = match op.order_id.0 {
            1 => (Some(UserId(7)), Some(email("ada@example.com"))),
            2 => (None, Some(email("guest@example.com"))),
            3 => (None, None),
            _ => return Err(Error::not_found("order")),
        };
        Ok(description(op.order_id, user_id, email))
    }
}

fn description(id: OrderId, user_id: Option<UserId>, email: Option<Email>) -> OrderDescription {
    let line = OrderLine {
        product_id: Some(ProductId(1)),
        name: "A <white> holder".to_owned(),
        ..order_line(sku("85123A"), 6, pence(255), Amount::ZERO)
    };
    OrderDescription {
        id,
        number: format!("N-{id}"),
        status: OrderStatus::Confirmed,
        user_id,
        email,
        languages: Vec::new(),
        name: Some("Ada".to_owned()),
        currency: Currency::GBP,
        prices_include_tax: true,
        totals: totals([&line]),
        lines: vec![line],
        created_at: Timestamp::EPOCH,
        tracking: Some(("Royal Mail".to_owned(), "RM1".to_owned())),
        payment_method: Some("CARD".to_owned()),
    }
}

/// The event of a registration.
pub(super) fn registered(user: i64) -> UserRegistered {
    serde_json::from_value(serde_json::json!({"userId": user})).unwrap()
}

/// The event of an order's confirmation.
pub(super) fn confirmed(order: i64) -> OrderConfirmed {
    OrderConfirmed(order_fact(order))
}

/// The notification service on a node whose other services are stubs.
pub(super) struct Shop {
    harness: Harness<Notifications>,
    pub(super) orders: Arc<Orders>,
    folder: TempDir,
}

impl Deref for Shop {
    type Target = Harness<Notifications>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Shop {
    pub(super) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let transport = MailTransport::Files(folder.path().join("mail"));
        Self::with(folder, transport)
    }

    /// A shop with this transport; only user 7 exists.
    pub(super) fn with(folder: TempDir, transport: MailTransport) -> Self {
        let settings = MailSettings {
            from: "Tea & Co <shop@example.com>".to_owned(),
            merchant: String::new(),
            public_url: "https://shop.example/".to_owned(),
            transport,
        };
        let networks = vec!["127.0.0.1".parse().unwrap()];
        let webhooks = WebhookSettings { networks, own_ports: vec![8080] };
        let orders = Arc::<Orders>::default();
        let ada = |id| UserDescription {
            email: email("ada@example.com"),
            name: Some("Ada".to_owned()),
            ..user_description(id)
        };
        let harness = Setup::at("2026-11-23T05:33:00Z")
            .answer(|_, _: GetStoreProfile| Ok(StoreProfile { name: "Tea & Co".to_owned(), ..store_profile() }))
            .answer(move |_, op: DescribeUsers| {
                let known = op.ids.into_iter().filter(|id| id.0 == 7);
                Ok(UserDescriptions { items: known.map(ada).collect() })
            })
            .answer_from(&orders, Orders::describe)
            .start(|databases| {
                Notifications::new(databases.ecommerce.clone(), settings, SmsSettings::Log, webhooks).unwrap()
            });
        Self { harness, orders, folder }
    }

    /// Emits an event and runs the consumers.
    pub(super) async fn publish<F: Fact + Clone + Sync>(&self, aggregate: i64, fact: F) {
        self.emit(Database::Ecommerce, aggregate, fact).await;
        self.consume().await;
    }

    pub(super) async fn deliveries(&self) -> Vec<DeliveryView> {
        let op = ListDeliveries { status: None, limit: Limit::default(), cursor: None };
        self.cx().call(op).await.unwrap().items
    }

    /// The mails written so far, without the soft line breaks of quoted-printable.
    pub(super) fn mails(&self) -> Vec<String> {
        let mut mails = Vec::new();
        for day in list(&self.folder.path().join("mail")) {
            for file in list(&day) {
                assert!(file.extension().is_some_and(|extension| extension == "eml"), "{}", file.display());
                mails.push(std::fs::read_to_string(file).unwrap().replace("=\r\n", ""));
            }
        }
        mails
    }
}

fn list(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
