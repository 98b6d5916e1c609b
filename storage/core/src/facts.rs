//! Facts that two services state, compared by sorting them.
//!
//! Their number grows with the orders of a shop, so what does not fit into a bounded buffer is sorted into temporary
//! files, which are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::path::PathBuf;

/// The size of the buffer in bytes.
const MAX_BUFFERED: usize = 8 << 20;
/// The bytes of invariant, key and side in front of a value.
const HEAD: usize = 11;

type Head = [u8; HEAD];

/// A fact as one side states it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fact {
    head: Head,
    /// The value.
    pub(crate) value: String,
}

impl Fact {
    /// The invariant's number and the key, which order facts.
    pub(crate) fn subject(&self) -> (usize, i64) {
        let [first, second, key @ .., _] = self.head;
        (usize::from(u16::from_be_bytes([first, second])), (u64::from_be_bytes(key) ^ (1 << 63)).cast_signed())
    }

    /// The side: 0 for left, 1 for right.
    pub(crate) fn side(&self) -> usize {
        usize::from(self.head[HEAD - 1])
    }
}

/// Collects facts, and returns them in the order of their subjects.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Where temporary files are made; by default in the system's directory for them.
    dir: Option<PathBuf>,
    invariants: Vec<&'static str>,
    /// Encoded facts: head, length of the value, value.
    buffer: Vec<u8>,
    /// Where they begin.
    starts: Vec<u32>,
    /// Files of sorted facts.
    spilled: Vec<File>,
}

impl Facts {
    pub(crate) fn in_dir(dir: PathBuf) -> Self {
        Self { dir: Some(dir), ..Self::default() }
    }

    /// The invariant with this number.
    pub(crate) fn invariant(&self, number: usize) -> &'static str {
        self.invariants.get(number).copied().unwrap_or_default()
    }

    /// Adds what one side states about an invariant and a key.
    pub(crate) fn add(&mut self, invariant: &'static str, key: i64, side: u8, value: &str) -> io::Result<()> {
        if self.buffer.len() + self.starts.len() * size_of::<u32>() >= MAX_BUFFERED {
            self.spill()?;
        }
        let known = self.invariants.iter().position(|known| *known == invariant);
        let number = known.unwrap_or_else(|| {
            self.invariants.push(invariant);
            self.invariants.len() - 1
        });
        let number = u16::try_from(number).map_err(io::Error::other)?;
        self.starts.push(u32::try_from(self.buffer.len()).map_err(io::Error::other)?);
        self.buffer.extend_from_slice(&number.to_be_bytes());
        self.buffer.extend_from_slice(&(key.cast_unsigned() ^ (1 << 63)).to_be_bytes());
        self.buffer.push(side);
        self.buffer.extend_from_slice(&u32::try_from(value.len()).map_err(io::Error::other)?.to_be_bytes());
        self.buffer.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn fact_at(&self, start: u32) -> &[u8] {
        usize::try_from(start).ok().and_then(|start| self.buffer.get(start..)).unwrap_or_default()
    }

    fn sort(&mut self) {
        let mut starts = std::mem::take(&mut self.starts);
        let head = |start: u32| self.fact_at(start).get(..HEAD);
        starts.sort_unstable_by(|a, b| head(*a).cmp(&head(*b)).then(a.cmp(b)));
        self.starts = starts;
    }

    /// Writes the buffer to a file, sorted.
    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut out = BufWriter::new(match &self.dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        });
        for start in &self.starts {
            let mut rest = self.fact_at(*start);
            let (head, value) = read_parts(&mut rest)?.unwrap_or_default();
            out.write_all(&head)?;
            out.write_all(&u32::try_from(value.len()).map_err(io::Error::other)?.to_be_bytes())?;
            out.write_all(&value)?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.spilled.push(file);
        self.buffer.clear();
        self.starts.clear();
        Ok(())
    }

    /// Calls `visit` for each fact, in the order of invariant, key and side.
    pub(crate) fn visit(&mut self, mut visit: impl FnMut(&Self, Fact)) -> io::Result<()> {
        self.sort();
        let mut files: Vec<_> = std::mem::take(&mut self.spilled).into_iter().map(BufReader::new).collect();
        let this = &*self;
        let mut buffered = this.starts.iter();
        let sources = files.len() + 1;
        let mut next = |source: usize| match files.get_mut(source) {
            Some(file) => read_fact(file),
            None => buffered.next().map_or(Ok(None), |start| read_fact(&mut this.fact_at(*start))),
        };
        let mut heap = BinaryHeap::new();
        for source in 0..sources {
            heap.extend(next(source)?.map(|fact| Reverse((fact.head, source, fact))));
        }
        while let Some(Reverse((_, source, fact))) = heap.pop() {
            visit(this, fact);
            heap.extend(next(source)?.map(|fact| Reverse((fact.head, source, fact))));
        }
        Ok(())
    }
}

/// Reads the head and the value of a fact; `None` at the end.
fn read_parts(from: &mut impl Read) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut head = Head::default();
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut value = vec![0; usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?];
    from.read_exact(&mut value)?;
    Ok(Some((head, value)))
}

fn read_fact(from: &mut impl Read) -> io::Result<Option<Fact>> {
    let Some((head, value)) = read_parts(from)? else { return Ok(None) };
    String::from_utf8(value).map(|value| Some(Fact { head, value })).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_in_files_and_in_memory_come_in_order() {
        let mut facts = Facts::default();
        let keys = [i64::MAX, 7, -7, 0, i64::MIN, 8];
        for (round, key) in keys.iter().enumerate() {
            facts.add("second", *key, 1, "right").unwrap();
            facts.add("first", *key, u8::from(round % 2 == 0), &round.to_string()).unwrap();
            if round % 2 == 1 {
                facts.spill().unwrap();
            }
        }
        facts.add("first", 1, 0, "the last one, in memory").unwrap();
        let mut seen = Vec::new();
        facts
            .visit(|facts, fact| seen.push((facts.invariant(fact.subject().0), fact.subject().1, fact.side())))
            .unwrap();
        assert_eq!(seen.len(), 13);
        let (second, first) = seen.split_at(6);
        assert_eq!(second.iter().map(|fact| fact.1).collect::<Vec<_>>(), [i64::MIN, -7, 0, 7, 8, i64::MAX]);
        assert!(second.iter().all(|fact| (fact.0, fact.2) == ("second", 1)));
        assert_eq!(
            first.iter().map(|fact| (fact.1, fact.2)).collect::<Vec<_>>(),
            [(i64::MIN, 1), (-7, 1), (0, 0), (1, 0), (7, 0), (8, 0), (i64::MAX, 1)]
        );
    }
}
