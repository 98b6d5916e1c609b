//! The journal of a store as its files say it, so that a test can cut the power between any two commits.
//!
//! One journal is the only commit point, so a store whose journal ends after its n-th group is a store whose power was cut
//! there: every step of every saga can be interrupted, before and after its effect, without a seam in the program.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Bytes of a segment before its first frame, and of a frame before its changes.
const SEGMENT: usize = 64;
const FRAME: usize = 44;

/// Where a group ends.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    segment: PathBuf,
    end: usize,
}

/// Every group of a store that was not checkpointed, in order.
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
    let (mut groups, mut end) = (Vec::new(), SEGMENT);
    while bytes.starts_with(b"PROMOXJ2") && bytes.get(end..end + 4) == Some(b"PMXF") {
        let length = u32::from_le_bytes(bytes[end + 8..end + 12].try_into().unwrap());
        end += FRAME + usize::try_from(length).unwrap();
        groups.push(Group { segment: segment.clone(), end });
    }
    groups
}

/// A copy of a store as a power cut right after its first `kept` groups would have left it.
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
            std::cmp::Ordering::Greater => SEGMENT,
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
            // The server is alive: mail is written under another name first, which is gone a moment later.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", entry.path().display());
        }
    }
}
