//! `promox backup`: a consistent copy of a whole store in one file, taken offline or through a running server.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use promox_embedded::{BackupError, Copied};

use super::remote::Remote;
use super::{Common, progress, transfer};
use crate::config::Loaded;
use crate::exit::Exit;
use crate::log;
use crate::ops;

/// The path that backups are downloaded from.
const PATH: &str = "/api/ops/backup";

/// Back up an offline store, or with `--url` the store of a running server.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to create, or a directory to create it in.
    file: PathBuf,
    /// Download the backup from the server at this address instead of opening the data directory.
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// An access token with the permission `ops:write`.
    #[arg(long, env = "PROMOX_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Also trust the certificate authorities in this file (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let file = target_file(&self.file);
        let length = super::runtime(&loaded.settings)?.block_on(async {
            match (&self.url, self.token) {
                (Some(url), Some(token)) => back_up_online(&Remote::new(url, token, self.ca.as_deref())?, &file).await,
                _ => back_up_offline(&loaded, &file).await,
            }
        })?;
        println!("Wrote {length} bytes to {}", file.display());
        Ok(())
    }
}

/// The backup file to create: `path` itself, or if that is a directory, a file in it named after the current time.
fn target_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(ops::file_name(promox_kernel::Clock::wall())) } else { path.to_owned() }
}

async fn back_up_online(remote: &Remote, file: &Path) -> Result<u64, Exit> {
    let reader = remote.stream(PATH).await?;
    let file = file.to_owned();
    let saved = tokio::task::spawn_blocking(move || transfer::save(reader, &file));
    saved.await.map_err(Exit::internal)?
}

async fn back_up_offline(loaded: &Loaded, file: &Path) -> Result<u64, Exit> {
    let promox = super::open_existing(loaded)?;
    let (backups, file) = (promox.backups().clone(), file.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let bar = progress::stream();
        transfer::create(&file, |out| {
            let progress = |copied: Copied| bar.set_position(copied.bytes);
            backups.write(out, progress).map(|copied| copied.bytes).map_err(|error| match error {
                BackupError::Io(error) => error,
                BackupError::Store(error) => io::Error::other(error),
            })
        })
    });
    let written = written.await.map_err(Exit::internal);
    promox.close().await;
    written?
}

#[cfg(test)]
mod tests {
    use super::super::restore::restore;
    use super::*;
    use crate::config::load;
    use crate::http::Server;
    use crate::log::Levels;
    use crate::node::Promox;
    use promox_kernel::Cx;
    use promox_user::api::{Login, Secret};
    use std::time::Duration;

    const EMAIL: &str = "admin@example.com";
    const PASSWORD: &str = "a long and quiet harbour";

    fn loaded(dir: &Path) -> Loaded {
        let variables = [
            ("PROMOX_SERVER__LISTEN", "127.0.0.1:0"),
            ("PROMOX_DATA__DIR", dir.to_str().unwrap()),
            ("PROMOX_ADMIN_EMAIL", EMAIL),
            ("PROMOX_ADMIN_PASSWORD", PASSWORD),
        ];
        load(None, variables.map(|(name, value)| (name.to_owned(), value.to_owned())), &[]).unwrap()
    }

    async fn token(promox: &Promox) -> String {
        let cx = Cx::system(promox.node(), "test", Duration::from_secs(60));
        let login = Login { email: EMAIL.parse().unwrap(), password: Secret(PASSWORD.to_owned()) };
        cx.run(login).await.unwrap().access_token.0
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn online_and_offline_backups_can_be_restored() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let shop = loaded(&path("shop"));
        let server = Server::bind(&shop, Levels::detached()).await.unwrap();
        let promox = Promox::open(&shop, &server).await.unwrap();
        let url = format!("http://{}", server.address());
        let remote = Remote::new(&url, token(&promox).await, None).unwrap();
        assert!(back_up_online(&remote, &path("online.backup")).await.unwrap() > 1_000);
        let stranger = Remote::new(&url, "nobody".to_owned(), None).unwrap();
        assert!(back_up_online(&stranger, &path("stolen.backup")).await.unwrap_err().to_string().contains("401"));
        server.shutdown().await;
        promox.close().await;
        back_up_offline(&shop, &path("offline.backup")).await.unwrap();
        for name in ["online", "offline"] {
            let again = loaded(&path(name));
            let file = path(&format!("{name}.backup"));
            assert!(restore(&again, &file).unwrap().items > 0);
            assert!(restore(&again, &file).is_err(), "a store is never overwritten");
            let promox = Promox::headless(&again).unwrap();
            assert!(promox.service::<promox_user::Users>().unwrap().has_admin().await.unwrap());
            assert!(promox.auditor().run().unwrap().clean);
            promox.close().await;
        }
    }

    #[test]
    fn a_truncated_backup_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cut = dir.path().join("cut.backup");
        std::fs::write(&cut, b"PROMOXB1 and not much more").unwrap();
        let target = loaded(&dir.path().join("target"));
        assert!(restore(&target, &cut).is_err());
        assert!(Remote::new("shop.example.com", String::new(), None).is_err());
    }
}
