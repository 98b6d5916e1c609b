//! The scripts of the gates.

use crate::redis::script::Script;

const PRELUDE: &str = include_str!("prelude.lua");
const UNITS: &str = include_str!("units.lua");

/// The scripts, one for each method of a gate engine.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) mark: Script,
    pub(super) install: Script,
    pub(super) take: Script,
    pub(super) keep: Script,
    pub(super) release: Script,
    pub(super) doubt: Script,
    pub(super) settle: Script,
    /// Drops all counters.
    pub(super) clear: Script,
    pub(super) forget: Script,
    /// Drops all counters of another server. It is run when a server does not have the scripts.
    pub(super) start: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body| Script::new(&[PRELUDE, body]);
        let with_units = |body| Script::new(&[PRELUDE, UNITS, body]);
        Self {
            mark: script(include_str!("mark.lua")),
            install: script(include_str!("install.lua")),
            take: script(include_str!("take.lua")),
            keep: with_units(include_str!("keep.lua")),
            release: with_units(include_str!("release.lua")),
            doubt: script(include_str!("doubt.lua")),
            settle: with_units(include_str!("settle.lua")),
            clear: script(include_str!("clear.lua")),
            forget: script(include_str!("forget.lua")),
            start: script(include_str!("start.lua")),
        }
    }

    /// The scripts that a server loads together.
    pub(super) fn loaded(&self) -> [&Script; 9] {
        let Self { mark, install, take, keep, release, doubt, settle, clear, forget, start: _ } = self;
        [mark, install, take, keep, release, doubt, settle, clear, forget]
    }
}
