//! Settings of outgoing mail: the sender and the transport.

use std::path::PathBuf;

use lettre::message::Mailbox;
use promox_kernel::Email;

/// The settings of outgoing mail.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// The sender, `Shop <shop@example.com>`.
    pub from: String,
    /// The recipient of low-stock messages; the sender's address when empty.
    pub merchant: String,
    /// Where clients reach the shop; links in messages begin with it.
    pub public_url: String,
    /// The transport.
    pub transport: MailTransport,
}

/// How mail is sent.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// `.eml` files in daily folders under this directory.
    Files(PathBuf),
    /// A mail server.
    Smtp(SmtpSettings),
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// The user name; empty for none.
    pub user: String,
    /// Its password.
    pub password: String,
    /// A PEM file of additional certificates to trust, for a server with a private authority; empty for none.
    pub extra_roots: Vec<u8>,
}

/// How the connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not encrypted.
    None,
    /// STARTTLS after the greeting; a server that does not offer it is refused.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

impl MailSettings {
    /// The sender, and the recipient of low-stock messages.
    pub(crate) fn addresses(&self) -> Result<(Mailbox, Email), String> {
        let from: Mailbox = self
            .from
            .parse()
            .map_err(|_| format!("must be a sender such as Shop <a@b.example>; got \"{}\"", self.from))?;
        let merchant = if self.merchant.trim().is_empty() { from.email.to_string() } else { self.merchant.clone() };
        Ok((from, merchant.parse()?))
    }
}
