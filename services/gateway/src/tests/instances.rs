//! Which instance of an application gets a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use promox_contract::discovery::{InstanceStatus, RegisteredInstance};
use promox_kernel::Timestamp;

use crate::{App, BreakerSettings, Instance, Outcome};

const MS: Duration = Duration::from_millis(1);

fn registered(id: &str, status: InstanceStatus) -> RegisteredInstance {
    RegisteredInstance {
        app: "BLOG".to_owned(),
        id: id.to_owned(),
        host: format!("{id}.internal"),
        ip: String::new(),
        port: Some(80),
        secure_port: None,
        status,
        metadata: BTreeMap::new(),
        registered_at: Timestamp::EPOCH,
        renewed_at: Timestamp::EPOCH,
    }
}

fn app_of(instances: &[RegisteredInstance]) -> Arc<App> {
    let breaker = BreakerSettings { window: 2, minimum_calls: 2, ..BreakerSettings::default() };
    let app = App::new("BLOG", 100, breaker, Duration::from_secs(30));
    app.update(1, instances, MS);
    app
}

/// The id of the instance that gets a request after `tried`.
fn next(app: &App, tried: &[Arc<Instance>]) -> Option<String> {
    app.attempt(tried, MS, |_| 0).map(|attempt| attempt.instance.id.clone())
}

#[test]
fn draining_instances_get_nothing_and_the_last_one_is_never_out() {
    use InstanceStatus::{OutOfService, Up};
    let app = app_of(&[registered("a", Up), registered("b", Up), registered("c", OutOfService)]);
    let all = app.instances();
    assert!(all[0].take_out() && !all[0].take_out());
    assert_eq!(next(&app, &[]).as_deref(), Some("b"));
    all[1].take_out();
    assert!(next(&app, &[]).is_some(), "one that is out is better than none");
    all[0].take_in();
    assert_eq!(next(&app, &[]).as_deref(), Some("a"));
    assert_eq!(next(&app, &all[..1]).as_deref(), Some("b"), "it is tried although it is out");
    assert_eq!(next(&app, &all[..2]), None, "one out of service is not");
    app.update(2, &[registered("a", OutOfService)], MS);
    assert!(next(&app, &[]).is_none() && !app.is_available(MS));
}

#[test]
fn an_instance_whose_breaker_is_open_is_passed_over() {
    let app = app_of(&[registered("a", InstanceStatus::Up), registered("b", InstanceStatus::Up)]);
    let b = app.instances()[1].clone();
    for _ in 0..2 {
        let mut attempt = app.attempt(std::slice::from_ref(&b), MS, |_| 0).unwrap();
        attempt.settle(Outcome::Failure, MS);
    }
    assert_eq!(next(&app, &[]).as_deref(), Some("b"));
    assert_eq!(next(&app, &[b]), None);
}

#[test]
fn known_instances_keep_their_state_and_stated_ones_stay() {
    let app = app_of(&[registered("a", InstanceStatus::Up)]);
    let first = app.instances()[0].clone();
    app.state(vec!["10.0.0.7:3000".to_owned()]);
    app.update(2, &[registered("a", InstanceStatus::Up), registered("b", InstanceStatus::Up)], MS);
    let ids: Vec<String> = app.instances().iter().map(|instance| instance.id.clone()).collect();
    assert_eq!(ids, ["a", "b", "10.0.0.7:3000"]);
    assert!(Arc::ptr_eq(&first, &app.instances()[0]));
    app.state(Vec::new());
    assert_eq!(app.instances().len(), 2);
}
