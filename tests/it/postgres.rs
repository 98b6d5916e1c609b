//! The PostgreSQL server of the tests. With `PROMOX_TEST_ENGINE=postgres` every shop has its data there, in databases of
//! its own, which belong to its data directory.

use std::path::Path;
use std::sync::OnceLock;

use promox_external::postgres::{Address, PostgresEngine, PostgresOptions};
use promox_servers::Postgres;
use serde_json::{Value, json};

use crate::process::promox_with;
use crate::shop::{Shop, order_of};

/// The databases that those of a shop are copied from.
const TEMPLATES: [&str; 2] = ["template_ecommerce", "template_promox"];

/// Whether the shops of this run have their data on PostgreSQL.
pub(crate) fn is_on() -> bool {
    std::env::var("PROMOX_TEST_ENGINE").is_ok_and(|engine| engine == "postgres")
}

/// The setting that keeps a shop on the embedded engine, for tests of its files.
pub(crate) fn embedded() -> (&'static str, &'static str) {
    ("PROMOX_POSTGRES__URL", "")
}

/// The server of this process, with the empty tables of a shop as templates.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Postgres::start();
        let mut options = PostgresOptions::new(Address::Unix(server.socket().to_owned(), 5432), "postgres");
        options.databases = TEMPLATES.map(str::to_owned);
        drop(PostgresEngine::open(&options, &promox::node::schema().unwrap()).unwrap());
        server
    })
}

/// The databases of the shop with this data directory.
fn databases(dir: &Path) -> [String; 2] {
    let name = dir.to_str().unwrap().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    ["ecommerce", "promox"].map(|database| format!("{database}_{}", name.trim_matches('_')))
}

/// The settings of the shop with this data directory. Its databases are created if they do not exist.
pub(crate) fn settings(dir: &Path) -> Vec<(String, String)> {
    if is_on() { settings_on_server(dir) } else { Vec::new() }
}

/// The settings that keep the data of the shop with this data directory on the server, in databases that exist.
fn settings_on_server(dir: &Path) -> Vec<(String, String)> {
    let (server, databases) = (server(), databases(dir));
    for (name, template) in databases.iter().zip(TEMPLATES) {
        let count = server.query("postgres", &format!("select count(*) from pg_database where datname = '{name}'"));
        if count == "0" {
            server.query("postgres", &format!("create database \"{name}\" template {template}"));
        }
    }
    let [ecommerce, promox] = databases;
    let url = format!("postgres://postgres@{}", server.socket().display());
    let setting = |name: &str, value: String| (format!("PROMOX_POSTGRES__{name}"), value);
    vec![setting("URL", url), setting("ECOMMERCE_DB", ecommerce), setting("PROMOX_DB", promox)]
}

/// Removes the databases of the shop with this data directory.
pub(crate) fn drop_databases(dir: &Path) {
    if is_on() {
        for name in databases(dir) {
            server().query("postgres", &format!("drop database if exists \"{name}\" with (force)"));
        }
    }
}

/// What a shop answers about its products, orders and figures.
async fn contents(shop: &Shop) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/api/products", "/api/orders", "/api/inventory", "/api/promotions", "/api/users"] {
        all.push(json!(shop.all(path).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_moves_to_postgres_and_back() {
    let shop = Shop::start_with(&[embedded()]).await;
    shop.product("A", "10.50", 20).await;
    for _ in 0..3 {
        shop.anyone.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.expect(201);
    }
    shop.settled_stock("A").await;
    let before = contents(&shop).await;
    let dir = shop.close_and_keep().await;
    let on_server = settings_on_server(dir.path());
    let named: Vec<(&str, &str)> = on_server.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let migrate = |dir: &Path, to: &str| {
        let output = promox_with(dir, &["migrate", "--to", to], &named);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, message) = migrate(dir.path(), "postgres");
    assert_eq!(code, Some(0), "{message}");
    let (code, message) = migrate(dir.path(), "postgres");
    assert_eq!(code, Some(65), "databases with rows are not overwritten: {message}");
    let shop = Shop::open(dir, on_server.clone()).await;
    assert_eq!(contents(&shop).await, before);
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.settled_stock("A").await;
    let after = contents(&shop).await;
    let dir = shop.close_and_keep().await;
    let back = tempfile::tempdir().unwrap();
    let (code, message) = migrate(back.path(), "embedded");
    assert_eq!(code, Some(0), "{message}");
    let (name, value) = embedded();
    let shop = Shop::open(back, vec![(name.to_owned(), value.to_owned())]).await;
    assert_eq!(contents(&shop).await, after);
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.close().await;
    for database in databases(dir.path()) {
        server().query("postgres", &format!("drop database \"{database}\" with (force)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_either_engine_is_restored_on_the_other() {
    let saved = tempfile::tempdir().unwrap();
    let shop = Shop::start_with(&[embedded()]).await;
    shop.product("A", "10.50", 20).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.expect(201);
    shop.settled_stock("A").await;
    let before = contents(&shop).await;
    let dir = shop.close_and_keep().await;
    let run = |arguments: &[&str], settings: &[(String, String)]| {
        let named: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let output = promox_with(dir.path(), arguments, &named);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let path = |name: &str| saved.path().join(name).to_str().unwrap().to_owned();
    let (embedded, on_server) =
        ([embedded()].map(|(name, value)| (name.to_owned(), value.to_owned())), settings_on_server(dir.path()));
    run(&["backup", &path("one")], &embedded);
    run(&["restore", &path("one")], &on_server);
    run(&["verify"], &on_server);
    run(&["backup", &path("two")], &on_server);
    let restored = tempfile::tempdir().unwrap();
    let output = promox_with(restored.path(), &["restore", &path("two")], &[(embedded[0].0.as_str(), "")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shop = Shop::open(restored, embedded.to_vec()).await;
    assert_eq!(contents(&shop).await, before);
    shop.close().await;
    for database in databases(dir.path()) {
        server().query("postgres", &format!("drop database \"{database}\" with (force)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_configuration_leaves_the_databases_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let on_server = settings_on_server(dir.path());
    let named: Vec<(&str, &str)> = on_server.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for arguments in [&["config", "check"][..], &["doctor"]] {
        let output = promox_with(dir.path(), arguments, &named);
        assert!(output.status.code().is_some(), "{arguments:?}");
    }
    let [ecommerce, promox] = databases(dir.path());
    for (database, query) in [
        (&ecommerce, "select count(*) from users"),
        (&ecommerce, "select count(*) from promox.commits"),
        (&promox, "select count(*) from promox.commits"),
    ] {
        assert_eq!(server().query(database, query), "0", "{query}");
    }
    for database in [ecommerce, promox] {
        server().query("postgres", &format!("drop database \"{database}\" with (force)"));
    }
}
