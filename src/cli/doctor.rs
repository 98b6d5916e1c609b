//! `promox doctor`: examines the settings and the machine, and says what to do about what it finds.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use promox_kernel::{Clock, Timestamp};
use rustix::process::{Resource, getrlimit};

use super::remote::Remote;
use super::{Common, health, rehearsal};
use crate::cli::output::say;
use crate::config::{Loaded, MailMode, Settings, exposed};
use crate::exit::Exit;

/// Free disk space in MiB below which a warning is given, and below which the shop soon refuses writes.
const LITTLE_SPACE_MIB: (u64, u64) = (2_048, 128);
/// Free file names below which a warning is given.
const FEW_INODES: u64 = 10_000;
/// How far files may lie in the future before the clock is taken for wrong.
const MAX_AHEAD: Duration = Duration::from_mins(1);
/// The share of the machine's memory that the store may be given, in percent.
const MEMORY_PERCENT: u64 = 60;

/// Examine settings, disk, clock, permissions, port and backups. Exits with 78 if something has to be mended.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The directory that backups are written to, to check the age of the newest.
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
    /// The age in hours from which the newest backup is too old.
    #[arg(long, value_name = "HOURS", default_value_t = 26, value_parser = clap::value_parser!(u64).range(1..))]
    backup_hours: u64,
}

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Fault,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

type Finding = (Level, String);

impl Doctor {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        let settings = &loaded.settings;
        let mut findings = settings_of(&loaded)?;
        findings.extend(disk(&settings.data.dir));
        findings.push(permissions(&settings.data.dir));
        findings.push(clock(&settings.data.dir));
        findings.extend(memory(settings));
        findings.push(open_files(settings));
        findings.push(port(settings)?);
        findings.extend(outside(settings));
        findings.push(self.backup());
        findings.iter().for_each(|(level, text)| say!("{level:<8} {text}"));
        let count = |wanted| findings.iter().filter(|(level, _)| *level == wanted).count();
        let (faults, warnings) = (count(Level::Fault), count(Level::Warning));
        say!("faults: {faults}, warnings: {warnings}");
        if faults == 0 { Ok(()) } else { Err(Exit::config("the faults above must be fixed")) }
    }

    fn backup(&self) -> Finding {
        let Some(dir) = &self.backups else {
            return (Level::Warning, "backups: not examined; name their directory with --backups".to_owned());
        };
        let newest = match newest_file(dir) {
            Ok(newest) => newest,
            Err(error) => return (Level::Fault, format!("backups: {}: {error}", dir.display())),
        };
        let Some(age) = newest.map(|time| Clock::wall().since(time)) else {
            return (Level::Fault, format!("backups: {} has none; run promox backup", dir.display()));
        };
        let hours = age.as_secs() / 3600;
        let level = if hours >= self.backup_hours { Level::Fault } else { Level::Ok };
        (level, format!("backups: the newest is {hours} hours old"))
    }
}

fn settings_of(loaded: &Loaded) -> Result<Vec<Finding>, Exit> {
    let mut findings: Vec<Finding> = exposed(loaded).into_iter().map(|line| (Level::Warning, line)).collect();
    findings.extend(rehearsal::faults(loaded)?.into_iter().map(|fault| (Level::Fault, fault)));
    if findings.is_empty() {
        findings.push((Level::Ok, "settings: a start with them succeeds".to_owned()));
    }
    Ok(findings)
}

/// The data directory, or the nearest existing directory above it.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."))
}

fn disk(dir: &Path) -> Vec<Finding> {
    let dir = existing(dir);
    let state = match rustix::fs::statvfs(dir) {
        Ok(state) => state,
        Err(error) => return vec![(Level::Fault, format!("disk: {}: {}", dir.display(), io::Error::from(error)))],
    };
    let free = state.f_bavail.saturating_mul(state.f_frsize) >> 20;
    let (little, least) = LITTLE_SPACE_MIB;
    let level = match free {
        free if free < least => Level::Fault,
        free if free < little => Level::Warning,
        _ => Level::Ok,
    };
    let mut findings = vec![(level, format!("disk: {free} MiB are free in {}", dir.display()))];
    // File systems without a fixed number of inodes report none.
    if state.f_files > 0 && state.f_favail < FEW_INODES {
        findings.push((Level::Warning, format!("disk: only {} more files can be created", state.f_favail)));
    }
    findings
}

fn permissions(dir: &Path) -> Finding {
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Level::Ok, format!("permissions: {} will be created", dir.display()))
        }
        Err(error) => (Level::Fault, format!("permissions: {}: {error}", dir.display())),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let text = format!("permissions: others can enter {}; chmod 700 makes it private", dir.display());
            (Level::Warning, text)
        }
        Ok(_) => (Level::Ok, format!("permissions: {} is private", dir.display())),
    }
}

/// Compares the clock with the newest file of the store, which a clock that went wrong leaves in the future.
fn clock(dir: &Path) -> Finding {
    let ahead = newest_file(dir).ok().flatten().map(|time| time.since(Clock::wall()));
    match ahead.filter(|ahead| *ahead > MAX_AHEAD) {
        Some(ahead) => {
            let text = format!("clock: the store was written {} s in the future; set the time", ahead.as_secs());
            (Level::Fault, text)
        }
        None => (Level::Ok, "clock: it is not behind the store".to_owned()),
    }
}

/// The time of the newest file in a directory, not in those below it.
fn newest_file(dir: &Path) -> io::Result<Option<Timestamp>> {
    let mut newest = None;
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            newest = newest.max(Some(Timestamp::from_seconds(metadata.mtime())));
        }
    }
    Ok(newest)
}

fn memory(settings: &Settings) -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let (total, wanted) = (total >> 10, settings.storage.memory_mib);
    let level = if wanted * 100 > total * MEMORY_PERCENT { Level::Warning } else { Level::Ok };
    Some((level, format!("memory: storage.memory_mib is {wanted} of the machine's {total} MiB")))
}

fn open_files(settings: &Settings) -> Finding {
    let wanted = settings.limits.connections;
    let possible = crate::descriptors::possible_connections(getrlimit(Resource::Nofile).maximum);
    if possible < wanted {
        let text = format!(
            "open files: the limit allows {possible} of {wanted} connections; raise it, such as by LimitNOFILE in the \
             systemd unit"
        );
        return (Level::Warning, text);
    }
    (Level::Ok, format!("open files: the limit allows {wanted} connections"))
}

fn port(settings: &Settings) -> Result<Finding, Exit> {
    let address = settings.server.listen;
    Ok(match TcpListener::bind(address) {
        Ok(_) => (Level::Ok, format!("port: {address} is free")),
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => (Level::Fault, format!("port: {address}: {error}")),
        Err(_) => {
            let remote = Remote::local(settings, None)?;
            match super::runtime(settings)?.block_on(health::readiness(&remote)) {
                Ok(status) => (Level::Ok, format!("port: a server runs at {address} and is {status}")),
                Err(error) => (Level::Fault, format!("port: {address} is in use, and {error}")),
            }
        }
    })
}

/// Settings that are right for a trial and wrong for a shop.
fn outside(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.mail.mode != MailMode::Smtp {
        findings.push((Level::Warning, "mail: messages are written to files; set mail.mode to smtp".to_owned()));
    }
    if settings.payment.sandbox {
        findings.push((Level::Warning, "payment: the sandbox takes orders without money".to_owned()));
    }
    if !settings.limits.enabled {
        findings.push((Level::Warning, "limits: clients can guess passwords without limit".to_owned()));
    }
    findings
}
