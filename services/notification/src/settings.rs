//! How mail leaves: who sends, and by which way.

use std::path::PathBuf;

use lettre::message::Mailbox;
use promox_kernel::Email;

/// The settings of outgoing mail.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// The sender, `Shop <shop@example.com>`.
    pub from: String,
    /// Who is told that stock is low; the sender's address when empty.
    pub merchant: String,
    /// Where clients reach the shop; links in messages begin with it.
    pub public_url: String,
    /// The way.
    pub transport: MailTransport,
}

/// The way mail takes.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// `.eml` files in folders by day under this one.
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
    /// The login, empty for none.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Certificates (PEM) that are trusted beside the public ones, for a server with a private authority; empty for none.
    pub extra_roots: Vec<u8>,
}

/// How the connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all.
    None,
    /// Upgraded after the greeting; a server that does not offer it is refused.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

impl MailSettings {
    /// The sender, and who is told of low stock.
    pub(crate) fn addresses(&self) -> Result<(Mailbox, Email), String> {
        let from: Mailbox = self
            .from
            .parse()
            .map_err(|_| format!("must be a sender such as Shop <a@b.example>; got \"{}\"", self.from))?;
        let merchant = if self.merchant.trim().is_empty() { from.email.to_string() } else { self.merchant.clone() };
        Ok((from, merchant.parse()?))
    }
}
