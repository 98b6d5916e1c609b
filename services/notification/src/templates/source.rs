//! The source of a template.

use crate::records::StoredTemplate;

/// The template source of each part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) subject: String,
    /// The HTML part; `None` for the inbox.
    pub(crate) html: Option<String>,
    pub(crate) text: String,
}

impl From<StoredTemplate> for Source {
    fn from(stored: StoredTemplate) -> Self {
        Self { subject: stored.subject, html: stored.html, text: stored.text }
    }
}
