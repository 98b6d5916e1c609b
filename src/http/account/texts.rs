//! The texts of the account pages in English and German.

use std::sync::LazyLock;

use bytes::Bytes;
use promox_kernel::Language;

/// The texts by their names in the page, in English and German.
const TEXTS: [(&str, &str, &str); 23] = [
    ("lang", "en", "de"),
    ("title", "Account", "Konto"),
    ("no_script", "This page needs JavaScript.", "Diese Seite benötigt JavaScript."),
    ("reset", "Set a new password", "Neues Passwort festlegen"),
    ("new_password", "New password", "Neues Passwort"),
    ("repeat", "Repeat it", "Passwort wiederholen"),
    ("set_password", "Set password", "Passwort festlegen"),
    (
        "reset_done",
        "Your password is changed. You can log in with it now.",
        "Ihr Passwort ist geändert. Sie können sich jetzt damit anmelden.",
    ),
    ("verify", "Confirm your e-mail address", "E-Mail-Adresse bestätigen"),
    ("confirm", "Confirm", "Bestätigen"),
    (
        "verify_done",
        "Your e-mail address is confirmed. You can close this page.",
        "Ihre E-Mail-Adresse ist bestätigt. Sie können diese Seite schließen.",
    ),
    ("unsubscribe", "End these messages", "Diese Nachrichten abbestellen"),
    ("end_messages", "Send me no more of them", "Keine weiteren senden"),
    (
        "unsubscribe_done",
        "You will get no more messages of this kind.",
        "Sie erhalten keine Nachrichten dieser Art mehr.",
    ),
    ("setup", "Create the first administrator", "Ersten Administrator anlegen"),
    ("email", "E-mail address", "E-Mail-Adresse"),
    ("password", "Password", "Passwort"),
    ("create", "Create administrator", "Administrator anlegen"),
    (
        "setup_done",
        "The administrator is created and can log in now.",
        "Der Administrator ist angelegt und kann sich jetzt anmelden.",
    ),
    ("differ", "The two passwords differ.", "Die beiden Passwörter sind verschieden."),
    (
        "incomplete",
        "This link is incomplete: open it from the message again.",
        "Dieser Link ist unvollständig. Öffnen Sie ihn noch einmal aus der Nachricht.",
    ),
    (
        "failed",
        "The request failed. Try again later.",
        "Das ist fehlgeschlagen. Der Link ist vielleicht abgelaufen oder wurde schon benutzt.",
    ),
    (
        "unreachable",
        "The server cannot be reached. Try again.",
        "Der Server ist nicht erreichbar. Versuchen Sie es noch einmal.",
    ),
];

static ENGLISH: LazyLock<Bytes> = LazyLock::new(|| page(|(_, english, _)| english));
static GERMAN: LazyLock<Bytes> = LazyLock::new(|| page(|(_, _, german)| german));

/// The pages in a language.
pub(super) fn pages(language: Language) -> Bytes {
    match language {
        Language::English => ENGLISH.clone(),
        Language::German => GERMAN.clone(),
    }
}

fn page(text: fn((&'static str, &'static str, &'static str)) -> &'static str) -> Bytes {
    let fill = |page: String, entry: &(&'static str, &'static str, &'static str)| {
        page.replace(&format!("{{{}}}", entry.0), text(*entry))
    };
    TEXTS.iter().fold(include_str!("page.html").to_owned(), fill).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_the_page_and_every_place_is_filled() {
        for (name, english, german) in TEXTS {
            assert!(include_str!("page.html").contains(&format!("{{{name}}}")), "{name}");
            assert!(!english.contains('"') && !german.contains('"'), "{name} is put into an attribute");
        }
        for language in Language::ALL {
            let page = String::from_utf8(pages(language).to_vec()).unwrap();
            let styles = page.find("</style>").unwrap();
            assert!(!page[styles..].contains(['{', '}']), "{page}");
        }
    }
}
