//! Attribute values as numbers: products share them, filters compare them, facets count them.

use std::collections::HashMap;

/// A value of an attribute or option. Values that differ only in case are the same, written as first seen.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) name: u32,
    pub(super) text: Box<str>,
}

/// All values seen since the start.
#[derive(Debug, Default)]
pub(super) struct Values {
    names: Vec<Box<str>>,
    known: Vec<Value>,
    names_by_fold: HashMap<Box<str>, u32>,
    by_fold: HashMap<(u32, Box<str>), u32>,
}

impl Values {
    /// The number of a value, assigned when it is new.
    pub(super) fn number(&mut self, name: &str, text: &str) -> u32 {
        let fold = name.to_lowercase();
        let known = self.names_by_fold.get(fold.as_str()).copied();
        let name = known.unwrap_or_else(|| {
            let next = number(self.names.len());
            self.names.push(name.into());
            self.names_by_fold.insert(fold.into(), next);
            next
        });
        let key = (name, text.to_lowercase().into_boxed_str());
        let next = number(self.known.len());
        let known = &mut self.known;
        *self.by_fold.entry(key).or_insert_with(|| {
            known.push(Value { name, text: text.into() });
            next
        })
    }

    /// The number of a value that some product has or had.
    pub(super) fn known(&self, name: &str, text: &str) -> Option<u32> {
        let name = self.names_by_fold.get(name.to_lowercase().as_str())?;
        self.by_fold.get(&(*name, text.to_lowercase().into_boxed_str())).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn get(&self, value: u32) -> Option<&Value> {
        self.known.get(index(value))
    }

    pub(super) fn name(&self, name: u32) -> &str {
        self.names.get(index(name)).map_or("", |name| name)
    }
}

/// A list index as 32 bits; more than 2³² values do not fit in memory.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The list index of a number.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
