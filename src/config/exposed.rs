//! Files with secrets that other users of the machine can read or change.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Loaded, Origin, secrets};

/// The permission bits of the group.
const GROUP: u32 = 0o070;
/// The permission bits of everyone else.
const OTHERS: u32 = 0o007;

/// Returns a warning for each file with a secret that other users can read or change: a configuration file with
/// secrets, a file that a secret is read from, the certificate's key.
pub fn exposed(loaded: &Loaded) -> Vec<String> {
    let mut files: Vec<(&str, &Path)> = Vec::new();
    for setting in loaded.list.iter().filter(|setting| secrets::is_masked(setting)) {
        if let Origin::File(path) | Origin::VariableFile(_, path) = &setting.origin {
            files.push((&setting.key, path));
        }
    }
    let key = &loaded.settings.tls.key;
    if !key.as_os_str().is_empty() {
        files.push(("tls.key", key));
    }
    files.into_iter().filter_map(|(key, path)| warning(key, path)).collect()
}

fn warning(key: &str, path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.mode() & 0o777;
    // Root gives servers access to its files by their group: certificates and mounted secrets are set up this way.
    let shared_by_group = metadata.uid() == 0 && !rustix::process::geteuid().is_root();
    let forbidden = if shared_by_group { OTHERS } else { GROUP | OTHERS };
    let warning = format!(
        "{key}: others can read or change {} (mode {mode:04o}), which holds a secret; chmod 600 makes it private",
        path.display()
    );
    (mode & forbidden != 0).then_some(warning)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::load;

    #[test]
    fn a_file_with_a_secret_that_others_can_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (config, plain, password) = (path("promox.toml"), path("plain.toml"), path("password"));
        fs::write(&config, "[mail]\npassword = \"hush\"\n").unwrap();
        fs::write(&plain, "[limits]\nburst = 7\n").unwrap();
        fs::write(&password, "hush\n").unwrap();
        let variable = ("PROMOX_PAYMENT__SANDBOX_WEBHOOK_SECRET_FILE".to_owned(), password.display().to_string());
        for mode in [0o644, 0o640, 0o606, 0o600, 0o400] {
            for file in [&config, &plain, &password] {
                fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
            }
            let warnings = exposed(&load(Some(&config), [variable.clone()], &[]).unwrap());
            let wanted = if [0o600, 0o400].contains(&mode) { 0 } else { 2 };
            assert_eq!(warnings.len(), wanted, "{mode:o} {warnings:?}");
            assert!(warnings.iter().all(|line| line.contains(&format!("{mode:04o}"))), "{warnings:?}");
            assert!(
                wanted == 0 || warnings[0].contains("promox.toml") && warnings[1].contains("/password"),
                "{warnings:?}"
            );
            assert_eq!(exposed(&load(Some(&plain), [], &[]).unwrap()), [""; 0], "the file has no secret");
        }
    }

    #[test]
    fn a_private_key_that_others_can_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
        let name = |key: &str| (format!("PROMOX_TLS__{key}"), dir.path().join("key.pem").display().to_string());
        let warnings = exposed(&load(None, [name("KEY"), name("CERTIFICATE")], &[]).unwrap());
        assert!(warnings.len() == 1 && warnings[0].starts_with("tls.key: others can read or change /"), "{warnings:?}");
    }
}
