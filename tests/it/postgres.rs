//! The PostgreSQL server of the tests. With `PROMOX_TEST_ENGINE=postgres` every shop has its data there, in databases of
//! its own, which belong to its data directory.

use std::path::Path;
use std::sync::OnceLock;

use promox_external::postgres::{Address, PostgresEngine, PostgresOptions};
use promox_servers::Postgres;

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
    if !is_on() {
        return Vec::new();
    }
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
