//! Attribute values as numbers, which products store, filters compare and facets count.

use std::collections::HashMap;

/// A value of an attribute or option. Values that differ only in case are one value, in the spelling first seen.
#[derive(Debug)]
pub(super) struct Value {
    /// The number of the attribute's or option's name.
    pub(super) name: u32,
    pub(super) text: Box<str>,
}

/// All values seen since startup.
#[derive(Debug, Default)]
pub(super) struct Values {
    names: Vec<Box<str>>,
    list: Vec<Value>,
    names_by_fold: HashMap<Box<str>, u32>,
    by_fold: HashMap<(u32, Box<str>), u32>,
}

impl Values {
    /// The number of a value, which is assigned if it is new.
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
        let next = number(self.list.len());
        let values = &mut self.list;
        *self.by_fold.entry(key).or_insert_with(|| {
            values.push(Value { name, text: text.into() });
            next
        })
    }

    /// The number of a value that some product has or had since startup.
    pub(super) fn find(&self, name: &str, text: &str) -> Option<u32> {
        let name = self.names_by_fold.get(name.to_lowercase().as_str())?;
        self.by_fold.get(&(*name, text.to_lowercase().into_boxed_str())).copied()
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The value with a number.
    pub(super) fn get(&self, value: u32) -> Option<&Value> {
        self.list.get(index(value))
    }

    /// The name with a number, in the spelling first seen.
    pub(super) fn name(&self, name: u32) -> &str {
        self.names.get(index(name)).map_or("", |name| name)
    }
}

/// A list index as a 32-bit number. It always fits: 2³² values do not fit in memory.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The list index of a number.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
