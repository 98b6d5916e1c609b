//! `promox demo`: serves a new sample shop, and prints commands to try it.

mod seed;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use promox_storage::{Database, StoreError, Tx};
use tempfile::TempDir;

use super::{Common, serve};
use crate::cli::output::say;
use crate::config::{Flag, Loaded, Origin, Settings};
use crate::exit::Exit;
use crate::http::Server;
use crate::log::{self, Levels};
use crate::node::Promox;

/// The defaults of the sample shop. It listens on loopback only, because its passwords are public.
const SETTINGS: [(&str, &str); 7] = [
    ("server.listen", "127.0.0.1:8080"),
    ("server.service_ports", "true"),
    ("discovery.listen", "127.0.0.1:8761"),
    ("store.name", "Lanterns and Co"),
    ("store.time_zone", "Europe/London"),
    ("log.level", "warn"),
    ("payment.sandbox", "true"),
];
/// Commands to try; `{url}` stands for the shop's address, `{place}` for where its data is.
const HINTS: &str = include_str!("hints.txt");

/// Serve a new sample shop, in a temporary directory unless `--data-dir` names one.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Listen on this address and port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Demo {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let listen = self.listen.map(|value| Flag { name: "--listen", key: "server.listen", value });
        let given = common.load(listen.clone().into_iter().collect())?;
        let (dir, _temporary) = directory(&given)?;
        let own = SETTINGS.into_iter().filter(|(key, _)| has_default(&given, key));
        let own = own.map(|(key, value)| Flag { name: "demo", key, value: value.to_owned() });
        let dir = Flag { name: "demo", key: "data.dir", value: dir.display().to_string() };
        let loaded = common.load(own.chain([dir]).chain(listen).collect())?;
        let levels = log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(demo(loaded, levels))
    }
}

async fn demo(loaded: Loaded, levels: Levels) -> Result<(), Exit> {
    let server = Server::bind_where_free(&loaded, levels).await?;
    if loaded.settings.postgres.is_on() {
        check_databases(&loaded).await?;
    }
    let promox = Promox::headless_writing(&loaded).await?;
    let seeded = seed::seed(&promox).await;
    promox.close().await;
    seeded?;
    let place = place(&loaded.settings);
    serve::serve(&loaded, server, |address| say!("{}", hints(address, &place)), || Ok(loaded.clone())).await
}

/// Refuses databases that have a shop, which a sample shop would be mixed with.
async fn check_databases(loaded: &Loaded) -> Result<(), Exit> {
    let promox = Promox::headless(loaded)?;
    let has_events = |tx: &Tx<'_>| Ok::<_, StoreError>(tx.last_position()? > 0);
    let used = promox.database(Database::Ecommerce).read(has_events).await;
    promox.close().await;
    if used.map_err(Exit::data)? {
        let name = &loaded.settings.postgres.ecommerce_db;
        return Err(Exit::usage(format_args!(
            "{name} already has a shop, and a sample shop needs empty databases. To continue with the shop there: \
                 promox serve"
        )));
    }
    Ok(())
}

/// Where the data of the shop is.
fn place(settings: &Settings) -> String {
    let postgres = &settings.postgres;
    if postgres.is_on() {
        format!("{} and {} on {}", postgres.ecommerce_db, postgres.promox_db, postgres.url)
    } else {
        settings.data.dir.display().to_string()
    }
}

/// Whether a setting has its default.
fn has_default(loaded: &Loaded, key: &str) -> bool {
    loaded.list.iter().any(|setting| setting.key == key && setting.origin == Origin::Default)
}

/// The requested directory, which must be empty, or a new temporary one.
fn directory(loaded: &Loaded) -> Result<(PathBuf, Option<TempDir>), Exit> {
    if has_default(loaded, "data.dir") {
        let made = tempfile::Builder::new().prefix("promox-demo-").tempdir().map_err(Exit::io)?;
        return Ok((made.path().to_owned(), Some(made)));
    }
    let dir = loaded.settings.data.dir.clone();
    let empty = std::fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Ok((dir, None));
    }
    Err(Exit::usage(format_args!(
        "{0} is not empty, and a sample shop needs an empty directory. To continue with the shop there: promox \
             serve --data-dir {0}",
        dir.display()
    )))
}

fn hints(address: SocketAddr, place: &str) -> String {
    let host = if address.ip().is_unspecified() || address.ip().is_loopback() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    };
    let url = format!("http://{host}:{}", address.port());
    HINTS.trim_end().replace("{url}", &url).replace("{place}", place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load;

    fn loaded(dir: &Path) -> Loaded {
        let variables = [
            ("PROMOX_DATA__DIR", dir.to_str().unwrap()),
            ("PROMOX_STORE__TIME_ZONE", "Europe/London"),
            ("PROMOX_PAYMENT__SANDBOX", "true"),
        ];
        load(None, variables.map(|(name, value)| (name.to_owned(), value.to_owned())), &[]).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_sample_shop_is_complete_and_passes_the_audit() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = loaded(dir.path());
        let promox = Promox::headless_writing(&loaded).await.unwrap();
        seed::seed(&promox).await.unwrap();
        let verdict = promox.auditor().run().unwrap();
        assert!(verdict.clean && verdict.checks > 1_000, "{verdict:?}");
        promox.close().await;
        assert!(directory(&loaded).is_err(), "the directory is not empty");
    }

    #[test]
    fn the_hints_name_the_shops_address_and_administrator() {
        let text = hints("127.0.0.1:8080".parse().unwrap(), "/tmp/x");
        assert!(text.contains("http://localhost:8080/api/products") && !text.contains('{') || text.contains("{\""));
        assert!(text.contains(seed::ADMIN.0) && text.contains(seed::ADMIN.1) && !text.contains("{url}"));
    }
}
