//! `promox backup`: a consistent copy of a whole store in one file, taken offline or through a running server.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use promox_embedded::{BackupError, Copied};
use serde_json::Value;

use super::remote::{Remote, RemoteOptions};
use super::{Common, follow, progress, transfer};
use crate::cli::output::say;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::log;
use crate::ops;

/// Back up an offline store, or with `--url` the store of a running server.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to create, or a directory to create it in.
    file: PathBuf,
    #[command(flatten)]
    server: RemoteOptions,
}

impl Backup {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let file = target_file(&self.file);
        let length = super::runtime(&loaded.settings)?.block_on(async {
            match self.server.remote(common)? {
                Some(remote) => back_up_online(&remote, &file).await,
                None => back_up_offline(&loaded, &file).await,
            }
        })?;
        say!("Wrote {length} bytes to {}", file.display());
        Ok(())
    }
}

/// The backup file to create: `path` itself, or if that is a directory, a file in it named after the current time.
fn target_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(ops::file_name(promox_kernel::Clock::wall())) } else { path.to_owned() }
}

/// Has the server write a backup, downloads it, and has the server remove its copy.
async fn back_up_online(remote: &Remote, file: &Path) -> Result<u64, Exit> {
    transfer::check_new(file)?;
    let (run, is_ours) = follow::follow(remote, "BACKUP", "rows and index entries").await?;
    let path = run.pointer("/file/path").and_then(Value::as_str);
    let path = path.ok_or_else(|| Exit::io("the server has removed the backup already"))?;
    let reader = remote.stream(path).await?;
    let file = file.to_owned();
    let saved = tokio::task::spawn_blocking(move || transfer::save(reader, &file));
    let length = saved.await.map_err(Exit::internal)??;
    if is_ours {
        follow::forget(remote, &run).await?;
    }
    Ok(length)
}

async fn back_up_offline(loaded: &Loaded, file: &Path) -> Result<u64, Exit> {
    let promox = super::open_existing(loaded)?;
    let (store, file) = (promox.store().clone(), file.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let bar = progress::stream();
        transfer::create(&file, |out| {
            let progress = |copied: Copied| bar.set_position(copied.bytes);
            store.backup(out, progress).map(|copied| copied.bytes).map_err(|error| match error {
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
