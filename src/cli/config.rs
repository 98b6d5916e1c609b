//! `promox config`: validates and prints the settings.

use clap::{Args, Subcommand};

use super::{Common, rehearsal};
use crate::cli::output::{self, say};
use crate::config::{Examined, Setting, Shares, exposed};
use crate::exit::Exit;

/// Check or print the settings.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the settings as the start would, and warn of files with secrets that other users can read or change.
    Check,
    /// Print every setting and its origin in the format that `--config` reads. Secrets are masked.
    Print,
}

impl Config {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        match self.action {
            Action::Check => {
                let Examined { loaded, faults } = common.examine(Vec::new())?;
                let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                // What the start would refuse is found with the defaults in place of wrong values.
                if let Some(loaded) = &loaded {
                    exposed(loaded).iter().for_each(|line| say!("warning: {line}"));
                    faults.extend(rehearsal::faults(loaded)?);
                }
                if !faults.is_empty() {
                    return Err(Exit::config(format!("the configuration is not valid\n  {}", faults.join("\n  "))));
                }
                say!("The configuration is valid.");
            }
            Action::Print => {
                let loaded = common.load(Vec::new())?;
                output::print(format_args!("{}", to_toml(&loaded.list)));
                say!("\n# storage.memory_mib is divided: {}", Shares::of(&loaded.settings.storage));
            }
        }
        Ok(())
    }
}

/// The settings as TOML, with the origin of each as a comment.
fn to_toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Setting { key, value, origin } in settings {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != last {
            let gap = if last.is_empty() { "" } else { "\n" };
            text = text + gap + "[" + section + "]\n";
            last = section;
        }
        text = text + name + " = " + value + "  # " + &origin.to_string() + "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn printed_settings_can_be_loaded_again() {
        let environment = [("PROMOX_LIMITS__BURST".to_owned(), "7".to_owned())];
        let text = to_toml(&load(None, environment, &[]).unwrap().list);
        assert!(
            text.contains("[limits]\nbody_bytes = 1048576  # default\nburst = 7  # environment PROMOX_LIMITS__BURST\n")
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("promox.toml");
        std::fs::write(&file, text).unwrap();
        assert_eq!(load(Some(&file), [], &[]).unwrap().settings.limits.burst, 7);
    }

    #[test]
    fn every_setting_is_documented() {
        let document = include_str!("../../docs/settings.md");
        for Setting { key, value, .. } in load(None, [], &[]).unwrap().list {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            let shown =
                if ["\"\"", "[]"].contains(&value.as_str()) { "|  |".to_owned() } else { format!("| `{value}` |") };
            assert!(row.is_some_and(|row| row.contains(&shown)), "{key} = {value}: {row:?}");
        }
    }
}
