//! Tests of the discovery service at a clock that they move.

use std::time::Duration;

use promox_contract::discovery::{InstanceStatus, ListInstances, RegisteredInstance};
use promox_kernel::{Content, Cx, Op, Reply};
use promox_storage::Service;
use promox_testkit::{Harness, Setup};
use serde_json::{Value, json};

use crate::api::{GetApplications, GetDelta, Parameters};
use crate::registry::OwnInstance;
use crate::rules::registration::Registration;
use crate::{Discovery, DiscoverySettings};

struct Room(Harness<Discovery>);

impl Room {
    async fn open(settings: DiscoverySettings) -> Self {
        let harness = Setup::at("2027-01-15T08:00:00Z").start(|_| Discovery::new(settings));
        harness.service.recover(&harness.cx()).await.unwrap();
        Self(harness)
    }

    fn register(&self, app: &str, id: &str) {
        let document = json!({"instance": {
            "instanceId": id, "hostName": "h", "app": app, "ipAddr": "10.0.0.1", "status": "UP", "vipAddress": "v",
            "port": {"$": 80, "@enabled": "true"},
        }});
        let now = self.0.node.clock.now();
        let read = Registration::read(app, "application/json", document.to_string().as_bytes(), now).unwrap();
        self.0.service.registry.lock().register(now, read).unwrap();
    }

    fn renew(&self, app: &str, id: &str) -> bool {
        self.0.service.registry.lock().renew(self.0.node.clock.now(), app, id, None)
    }

    async fn list(&self) -> Vec<RegisteredInstance> {
        self.0.call(ListInstances::default()).await.unwrap().items.unwrap()
    }

    async fn epoch(&self) -> u64 {
        self.0.call(ListInstances::default()).await.unwrap().epoch
    }

    /// A document in JSON.
    async fn get<O: Op>(&self, op: O) -> Value {
        let cx = Cx { accept: Some("application/json".into()), ..self.0.cx() };
        match self.0.run(cx, op).await.unwrap().respond(200).unwrap().content {
            Content::Bytes(_, bytes) => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn evict_after(&self, seconds: u64) {
        self.0.advance(Duration::from_secs(seconds));
        self.0.run_job("discovery.evict").await;
    }
}

#[tokio::test]
async fn an_instance_that_stops_renewing_is_evicted_while_the_others_renew() {
    let room = Room::open(DiscoverySettings::default()).await;
    (0..20).for_each(|id| room.register("REVIEWS", &format!("r{id}")));
    for _ in 0..4 {
        room.0.advance(Duration::from_secs(30));
        (1..20).for_each(|id| assert!(room.renew("REVIEWS", &format!("r{id}"))));
        room.0.run_job("discovery.evict").await;
    }
    let ids: Vec<String> = room.list().await.into_iter().map(|instance| instance.id).collect();
    assert!(ids.len() == 19 && !ids.contains(&"r0".to_owned()), "{ids:?}");
    assert!(!room.renew("REVIEWS", "r0"), "it has to register again");
}

#[tokio::test]
async fn nothing_is_evicted_while_too_few_instances_renew() {
    let room = Room::open(DiscoverySettings::default()).await;
    (0..20).for_each(|id| room.register("REVIEWS", &format!("r{id}")));
    for _ in 0..10 {
        room.0.advance(Duration::from_secs(30));
        (0..15).for_each(|id| assert!(room.renew("REVIEWS", &format!("r{id}"))));
        room.0.run_job("discovery.evict").await;
    }
    assert_eq!(room.list().await.len(), 20);
    assert!(room.0.service.registry.lock().totals(room.0.node.clock.now()).preserves);
    let room = Room::open(DiscoverySettings { self_preservation: false, ..DiscoverySettings::default() }).await;
    (0..20).for_each(|id| room.register("REVIEWS", &format!("r{id}")));
    room.evict_after(91).await;
    assert_eq!(room.list().await.len(), 17, "one pass evicts 15 per cent");
    for _ in 0..20 {
        room.0.run_job("discovery.evict").await;
    }
    assert_eq!(room.list().await, []);
}

#[tokio::test]
async fn the_epoch_changes_with_the_registry_and_not_with_renewals() {
    let room = Room::open(DiscoverySettings::default()).await;
    let first = room.epoch().await;
    room.register("REVIEWS", "r1");
    let second = room.epoch().await;
    assert!(second > first);
    room.0.advance(Duration::from_secs(5));
    room.renew("REVIEWS", "r1");
    assert_eq!(room.epoch().await, second);
    let known = ListInstances { known_epoch: Some(second), ..ListInstances::default() };
    assert_eq!(room.0.call(known).await.unwrap().items, None);
    assert!(room.list().await[0].renewed_at > room.list().await[0].registered_at);
    room.0.advance(Duration::from_secs(3600));
    let again = room.0.restart(|_| Discovery::new(DiscoverySettings::default()));
    again.service.recover(&again.cx()).await.unwrap();
    assert!(again.call(ListInstances::default()).await.unwrap().epoch > second);
}

#[tokio::test]
async fn a_delta_leads_from_one_state_to_the_next() {
    let room = Room::open(DiscoverySettings::default()).await;
    room.register("REVIEWS", "r1");
    room.register("REVIEWS", "r2");
    room.0.advance(Duration::from_secs(181));
    room.0.service.registry.lock().cancel(room.0.node.clock.now(), "REVIEWS", "r1");
    let now = room.0.node.clock.now();
    room.0.service.registry.lock().change(now, "REVIEWS", "r2", |entry| {
        entry.overridden = Some(InstanceStatus::OutOfService);
    });
    room.register("BLOG", "b1");
    let delta = room.get(GetDelta { values: Parameters::new() }).await;
    let changes: Vec<(&str, &str)> = delta["applications"]["application"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|app| app["instance"].as_array().unwrap())
        .map(|instance| (instance["instanceId"].as_str().unwrap(), instance["actionType"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [("b1", "ADDED"), ("r1", "DELETED"), ("r2", "MODIFIED")]);
    let whole = room.get(GetApplications { values: Parameters::new() }).await;
    assert_eq!(delta["applications"]["apps__hashcode"], "OUT_OF_SERVICE_1_UP_1_");
    assert_eq!(whole["applications"]["apps__hashcode"], delta["applications"]["apps__hashcode"]);
    room.0.advance(Duration::from_secs(181));
    let delta = room.get(GetDelta { values: Parameters::new() }).await;
    assert_eq!(delta["applications"]["application"], json!([]));
}

#[tokio::test]
async fn own_services_are_shown_and_not_listed_for_the_gateway() {
    let room = Room::open(DiscoverySettings::default()).await;
    let own = OwnInstance {
        app: "ORDER-SERVICE".to_owned(),
        host: "shop.local".to_owned(),
        ip: "10.0.0.9".to_owned(),
        port: 8003,
        secure: false,
    };
    room.0.service.announce(room.0.node.clock.now(), &[own]);
    assert_eq!(room.list().await, []);
    let whole = room.get(GetApplications { values: Parameters::new() }).await;
    let instance = &whole["applications"]["application"][0]["instance"][0];
    assert_eq!((&instance["app"], &instance["port"]["$"]), (&json!("ORDER-SERVICE"), &json!(8003)));
    assert_eq!(instance["status"], "UP");
    room.evict_after(600).await;
    let whole = room.get(GetApplications { values: Parameters::new() }).await;
    assert_eq!(whole["applications"]["apps__hashcode"], "UP_1_");
}

#[tokio::test]
async fn the_registry_is_bounded() {
    let room = Room::open(DiscoverySettings { max_instances: 2, ..DiscoverySettings::default() }).await;
    room.register("REVIEWS", "r1");
    room.register("REVIEWS", "r2");
    room.register("REVIEWS", "r2");
    let now = room.0.node.clock.now();
    let bytes = br#"{"instance": {"hostName": "h"}}"#;
    let third = Registration::read("REVIEWS", "application/json", bytes, now).unwrap();
    let refused = room.0.service.registry.lock().register(now, third).unwrap_err();
    assert_eq!(refused.code(), "REGISTRY_FULL");
    assert!(room.0.service.registry.lock().cancel(now, "REVIEWS", "r1"));
    room.register("REVIEWS", "r3");
}
