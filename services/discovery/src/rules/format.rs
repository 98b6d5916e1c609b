//! The two formats of Eureka's documents.

use promox_kernel::{Cx, Download, Error};

/// The format of a document. Eureka's clients that state no preference expect XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Xml,
    Json,
}

impl Format {
    const XML_TYPE: &str = "application/xml";
    const JSON_TYPE: &str = "application/json";

    /// The format that the caller prefers; 406 if it accepts neither.
    pub(crate) fn preferred(cx: &Cx) -> Result<Self, Error> {
        let chosen = cx.prefers(&[Self::XML_TYPE, Self::JSON_TYPE])?;
        Ok(if chosen == Self::JSON_TYPE { Self::Json } else { Self::Xml })
    }

    /// A document in this format as a reply.
    pub(crate) fn download(self, text: String) -> Download {
        match self {
            Self::Xml => Download::bytes(Self::XML_TYPE, text),
            Self::Json => Download::bytes(Self::JSON_TYPE, text),
        }
    }
}
