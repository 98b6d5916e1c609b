//! Reads and truncates the journal of a store, so that a test can simulate a power cut between any two commits.
//!
//! The journal is the only commit point: a store whose journal ends after its n-th group is in the state of a power cut
//! at that point. So a test can interrupt every step of every saga, before and after its effect, without hooks in the
//! program.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Bytes of a segment's header.
const SEGMENT_HEADER: usize = 64;
/// Bytes of a frame's header, before its changes.
const FRAME_HEADER: usize = 48;

/// The end of a commit group: a segment and an offset in it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    segment: PathBuf,
    end: usize,
}

/// All commit groups of a store without checkpoints, in order.
pub(crate) fn groups(dir: &Path) -> Vec<Group> {
    segments(dir).into_iter().flat_map(groups_of).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "journal"));
    paths.sort();
    paths
}

fn groups_of(segment: PathBuf) -> Vec<Group> {
    let bytes = fs::read(&segment).unwrap();
    let (mut groups, mut end) = (Vec::new(), SEGMENT_HEADER);
    while bytes.starts_with(b"PROMOXJ2") && bytes.get(end..end + 4) == Some(b"PMXF") {
        let length = u32::from_le_bytes(bytes[end + 8..end + 12].try_into().unwrap());
        end += FRAME_HEADER + usize::try_from(length).unwrap();
        groups.push(Group { segment: segment.clone(), end });
    }
    groups
}

/// A copy of a store in the state of a power cut right after its first `kept` commit groups.
pub(crate) fn cut(dir: &Path, kept: usize) -> TempDir {
    let groups = groups(dir);
    let last = &groups[kept - 1];
    let copy = tempfile::tempdir().unwrap();
    copy_all(dir, copy.path());
    for segment in segments(copy.path()) {
        let name = segment.file_name().unwrap();
        let from = match name.cmp(last.segment.file_name().unwrap()) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => last.end,
            std::cmp::Ordering::Greater => SEGMENT_HEADER,
        };
        let mut bytes = fs::read(&segment).unwrap();
        bytes[from..].fill(0);
        fs::write(&segment, bytes).unwrap();
    }
    copy
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            // The server is running and may rename the temporary files of its mail meanwhile.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", entry.path().display());
        }
    }
}
