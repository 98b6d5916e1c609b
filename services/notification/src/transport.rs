//! Transports of mail: files in a directory, or a mail server.
//!
//! Files are for development and for a mail server's pickup directory. A file is complete as soon as it is visible, but
//! files are not synced one by one, so a power cut may lose the newest. A message counts as sent once a mail server has
//! accepted it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};
use promox_kernel::Timestamp;

use crate::records::DeliveryId;
use crate::settings::{MailTransport, SmtpSecurity, SmtpSettings};

/// The time limit of one command to a mail server.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(8);
/// The time limit of sending a message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// A transport of mail.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Writes `.eml` files in a folder per day under this directory.
    Files(PathBuf),
    /// Submits to a mail server.
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

/// Why a message was not accepted.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Whether the message would be refused again.
    pub(crate) permanent: bool,
    pub(crate) detail: String,
}

impl Transport {
    pub(crate) fn new(settings: MailTransport) -> Result<Self, String> {
        match settings {
            MailTransport::Files(folder) => Ok(Self::Files(folder)),
            MailTransport::Smtp(smtp) => Ok(Self::Smtp(Box::new(server(smtp)?))),
        }
    }

    /// Sends a message. Returns the mail server's response, or the name of the file.
    pub(crate) async fn send(&self, id: DeliveryId, at: Timestamp, mail: &Mail) -> Result<String, Refusal> {
        match self {
            Self::Files(folder) => write_file(&folder.join(day(at)), id, mail).await.map_err(|error| Refusal {
                permanent: false,
                detail: format!("the file could not be written: {error}"),
            }),
            Self::Smtp(server) => submit(server, mail).await,
        }
    }

    /// Deletes the files of days before `oldest`.
    pub(crate) async fn prune(&self, oldest: Timestamp) -> io::Result<()> {
        let Self::Files(folder) = self else { return Ok(()) };
        let mut days = match tokio::fs::read_dir(folder).await {
            Ok(days) => days,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        while let Some(entry) = days.next_entry().await? {
            if entry.file_name().to_str().is_some_and(|name| is_day(name) && *name < *day(oldest)) {
                tokio::fs::remove_dir_all(entry.path()).await?;
            }
        }
        Ok(())
    }
}

/// The day of a time in UTC, as `2026-11-23`.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn is_day(name: &str) -> bool {
    name.len() == 10 && name.chars().all(|c| c.is_ascii_digit() || c == '-')
}

/// Writes the file under a temporary name and renames it, so that a file under its final name is complete. Returns a
/// message with that name.
async fn write_file(folder: &Path, id: DeliveryId, mail: &Mail) -> io::Result<String> {
    let (folder, content, name) = (folder.to_owned(), mail.formatted(), format!("{:012}.eml", id.0));
    let write = move || {
        let temporary = folder.join(format!(".{name}.part"));
        let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
                open()?
            }
            opened => opened?,
        };
        file.write_all(&content)?;
        std::fs::rename(&temporary, folder.join(&name))?;
        Ok(format!("written to {name}"))
    };
    // One hop to a thread that may block, instead of one per step.
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

async fn submit(server: &AsyncSmtpTransport<Tokio1Executor>, mail: &Mail) -> Result<String, Refusal> {
    match tokio::time::timeout(MESSAGE_TIMEOUT, server.send(mail.clone())).await {
        Ok(Ok(response)) => Ok(format!("{} {}", response.code(), response.first_line().unwrap_or_default())),
        Ok(Err(error)) => Err(Refusal { permanent: error.is_permanent(), detail: error.to_string() }),
        Err(_) => Err(Refusal { permanent: false, detail: "the mail server did not answer in time".to_owned() }),
    }
}

fn server(settings: SmtpSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    if settings.host.trim().is_empty() {
        return Err("the name of the mail server is missing".to_owned());
    }
    let tls = match settings.security {
        SmtpSecurity::None => Tls::None,
        SmtpSecurity::Starttls => Tls::Required(tls_parameters(&settings)?),
        SmtpSecurity::Implicit => Tls::Wrapper(tls_parameters(&settings)?),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host)
        .port(settings.port)
        .tls(tls)
        .timeout(Some(COMMAND_TIMEOUT));
    let builder = if settings.user.is_empty() {
        builder
    } else {
        builder.credentials(Credentials::new(settings.user, settings.password))
    };
    Ok(builder.build())
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if !settings.extra_roots.is_empty() {
        let root = Certificate::from_pem(&settings.extra_roots).map_err(|error| error.to_string())?;
        builder = builder.add_root_certificate(root);
    }
    builder.build().map_err(|error| error.to_string())
}
