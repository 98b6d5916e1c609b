//! A shop's writing desk: notifications on a node where orders and users are known, with mail as files in a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::ids::{OrderId, ProductId};
use promox_contract::order::{
    DescribeOrder, OrderConfirmed, OrderCreated, OrderDescription, OrderShipped, OrderStatus, Totals,
};
use promox_contract::order_line::OrderLine;
use promox_contract::store::{StoreFacts, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescription, UserDescriptions, UserRegistered};
use promox_kernel::{
    Amount, Clock, Currency, Cx, Email, Entropy, Error, Fact, Handle, Limit, Node, Principal, Registry, Timestamp,
    UserId, register,
};
use promox_storage::{ConsumerLoop, Database, Db, MemoryEngine, Report, Service, Tx};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::api::{DeliveryView, ListDeliveries};
use crate::{MailSettings, MailTransport, Notifications};

/// Who is known: order 1 is user 7's, order 2 a guest's, order 3 lost its buyer; others are not there.
#[derive(Default)]
pub(super) struct Files {
    /// While set, orders do not answer.
    pub(super) away: Mutex<bool>,
}

impl Handle<StoreProfile> for Files {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        Ok(StoreFacts {
            name: "Tea & Co".to_owned(),
            currency: Currency::GBP,
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<DescribeOrder> for Files {
    async fn handle(&self, _: &Cx, op: DescribeOrder) -> Result<OrderDescription, Error> {
        if *self.away.lock() {
            return Err(Error::unavailable("BUSY", "Not now.", 1));
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

impl Handle<DescribeUsers> for Files {
    async fn handle(&self, _: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        let known = op.ids.into_iter().filter(|id| id.0 == 7);
        let items = known.map(|id| UserDescription {
            id,
            email: email("ada@example.com"),
            name: Some("Ada".to_owned()),
            registered_at: Timestamp::EPOCH,
            attributes: BTreeMap::new(),
        });
        Ok(UserDescriptions { items: items.collect() })
    }
}

pub(super) fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn pence(pence: i64) -> Amount {
    format!("{}.{:02}", pence / 100, pence % 100).parse().unwrap()
}

fn description(id: OrderId, user_id: Option<UserId>, email: Option<Email>) -> OrderDescription {
    let line = OrderLine {
        sku: "85123A".parse().unwrap(),
        variant_id: None,
        product_id: Some(ProductId(1)),
        name: "A <white> holder".to_owned(),
        quantity: 6,
        unit_price: pence(255),
        list_price: pence(255),
        flash_sale_id: None,
        subtotal: pence(1_530),
        discount: pence(0),
        discounts: Vec::new(),
        tax: pence(0),
        total: pence(1_530),
    };
    OrderDescription {
        id,
        number: format!("N-{id}"),
        status: OrderStatus::Confirmed,
        user_id,
        email,
        name: Some("Ada".to_owned()),
        currency: Currency::GBP,
        lines: vec![line],
        totals: Totals {
            subtotal: pence(1_530),
            discount: pence(0),
            shipping: pence(0),
            shipping_discount: pence(0),
            tax: pence(0),
            points_redeemed: 0,
            points_value: pence(0),
            total: pence(1_530),
        },
        created_at: Timestamp::EPOCH,
        tracking: Some(("Royal Mail".to_owned(), "RM1".to_owned())),
    }
}

/// An event of an order: which one is all that is read of it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Confirmed {}

impl Fact for Confirmed {
    const TYPE: &'static str = OrderConfirmed::TYPE;
    const TOPIC: &'static str = OrderConfirmed::TOPIC;
}

/// The one before it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Created {}

impl Fact for Created {
    const TYPE: &'static str = OrderCreated::TYPE;
    const TOPIC: &'static str = OrderCreated::TOPIC;
}

/// Another one.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Shipped {}

impl Fact for Shipped {
    const TYPE: &'static str = OrderShipped::TYPE;
    const TOPIC: &'static str = OrderShipped::TOPIC;
}

/// A registration, in the event's own form.
pub(super) fn registered(user: i64) -> UserRegistered {
    serde_json::from_value(serde_json::json!({"userId": user})).unwrap()
}

/// A node with notifications.
pub(super) struct Desk {
    pub(super) node: Arc<Node>,
    pub(super) files: Arc<Files>,
    pub(super) notifications: Arc<Notifications>,
    pub(super) db: Db,
    pub(super) folder: TempDir,
}

impl Desk {
    pub(super) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let transport = MailTransport::Files(folder.path().join("mail"));
        Self::with(folder, transport)
    }

    pub(super) fn with(folder: TempDir, transport: MailTransport) -> Self {
        let db = MemoryEngine::new().database(Database::Ecommerce);
        let node = Node::new(Clock::manual("2026-11-23T05:33:00Z".parse().unwrap()), Entropy::seeded(7));
        let settings = MailSettings {
            from: "Tea & Co <shop@example.com>".to_owned(),
            merchant: String::new(),
            public_url: "https://shop.example/".to_owned(),
            transport,
        };
        let files = Arc::new(Files::default());
        let notifications = Notifications::new(db.clone(), settings).unwrap();
        let mut registry = Registry::default();
        register!(registry, &files; StoreProfile, DescribeOrder, DescribeUsers);
        notifications.register(&mut registry);
        node.install(registry);
        Self { node, files, notifications, db, folder }
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(30))
    }

    pub(super) fn user(&self, id: i64) -> Cx {
        Cx { principal: Principal::User { id: UserId(id), session: 1, permissions: Arc::default() }, ..self.cx() }
    }

    /// Tells an event and lets the consumers see it.
    pub(super) async fn tell<F: Fact + Clone + Sync>(&self, aggregate: i64, fact: F) {
        self.db.write(&self.cx(), move |tx| Ok::<_, Error>(tx.emit(aggregate, &fact)?)).await.unwrap();
        self.consume().await;
    }

    pub(super) async fn consume(&self) {
        for consumer in self.notifications.consumers() {
            let mut turns = ConsumerLoop::new(consumer, self.db.clone(), self.db.clone());
            while turns.turn(&self.node).await.unwrap() {}
        }
    }

    /// Lets the clock's work be done, until there is no more of it.
    pub(super) async fn work(&self) {
        for job in self.notifications.jobs() {
            for _ in 0..10 {
                job.run(self.cx()).await.unwrap();
            }
        }
    }

    pub(super) async fn deliveries(&self) -> Vec<DeliveryView> {
        let op = ListDeliveries { status: None, limit: Limit::default(), cursor: None };
        self.cx().call(op).await.unwrap().items
    }

    /// The mails that were written, with the soft line breaks of quoted-printable taken out.
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

    /// The auditor finds nothing.
    pub(super) fn verify(&self) {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        self.notifications.audit(&Tx::unbounded(&*reader, Database::Ecommerce), &mut report).unwrap();
        for table in Notifications::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        assert_eq!(report.finish().0, []);
    }
}

fn list(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
