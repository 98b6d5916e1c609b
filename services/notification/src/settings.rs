//! Settings of outgoing mail: the sender and the transport.

use std::path::PathBuf;

use lettre::message::Mailbox;
use promox_kernel::Email;

/// The settings of outgoing mail.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// The sender, such as `Shop <shop@example.com>`.
    pub from: String,
    /// The recipient of low-stock messages; the sender's address when empty.
    pub merchant: String,
    /// The URL of the shop; links in messages begin with it.
    pub public_url: String,
    /// The transport.
    pub transport: MailTransport,
}

/// How mail is sent.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// Written as `.eml` files in a folder per day under this directory.
    Files(PathBuf),
    /// Sent through a mail server.
    Smtp(SmtpSettings),
}

/// The settings of a mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// The server's host name.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// The user name; empty to send without authentication.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The content of a PEM file with an additional root certificate to trust, for a server with a private certificate
    /// authority; empty for none.
    pub extra_roots: Vec<u8>,
}

/// How the connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// The connection is not encrypted.
    None,
    /// STARTTLS after the greeting; mail is not sent to a server that does not offer it.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

impl MailSettings {
    /// Parses the sender and the recipient of low-stock messages.
    pub(crate) fn addresses(&self) -> Result<(Mailbox, Email), String> {
        let from: Mailbox = self.from.parse().map_err(|_| {
            format!("mail.from: must be a sender such as Shop <shop@example.com>; got \"{}\"", self.from)
        })?;
        let merchant = if self.merchant.trim().is_empty() { from.email.to_string() } else { self.merchant.clone() };
        let merchant = merchant.parse().map_err(|error| format!("mail.merchant: {error}"))?;
        Ok((from, merchant))
    }
}
