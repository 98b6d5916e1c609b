//! The auditor's interface for services: a service checks its invariants, and states facts that others must agree with.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Reader, StoreError};

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, `"stock: on hand = sum of movements"`.
    pub invariant: &'static str,
    /// What violates it.
    pub detail: String,
}

/// Findings, and the facts that two services must agree on.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    checked: u64,
    sides: BTreeMap<(&'static str, i64), [Option<String>; 2]>,
    open: BTreeSet<(&'static str, i64)>,
    /// Names that rows refer to, with the first row that does.
    named: BTreeMap<(&'static str, String), String>,
    known: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Report {
    /// Adds a finding unless `holds`.
    pub fn check(&mut self, invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.findings.push(Finding { invariant, detail: detail() });
        }
    }

    /// One side of a fact: `report.left("a paid order has one live capture, equal to its total", order, total)`.
    pub fn left(&mut self, invariant: &'static str, key: impl Into<i64>, value: impl ToString) {
        self.side(invariant, key.into(), 0, value.to_string());
    }

    /// The other side of the fact; a key with one side only is a finding.
    pub fn right(&mut self, invariant: &'static str, key: impl Into<i64>, value: impl ToString) {
        self.side(invariant, key.into(), 1, value.to_string());
    }

    /// Something that is in progress, with its next step stored: the sides may differ until it is done.
    pub fn open(&mut self, invariant: &'static str, key: impl Into<i64>) {
        self.open.insert((invariant, key.into()));
    }

    /// A row refers to a name that its owner must know: `report.names("product: its tax class is one of the store's",
    /// "REDUCED",
    /// || "product 7")`.
    pub fn names(&mut self, invariant: &'static str, name: impl Into<String>, by: impl FnOnce() -> String) {
        self.named.entry((invariant, name.into())).or_insert_with(by);
    }

    /// The owner's side: a name that rows may refer to. If no owner states any, the names are not checked.
    pub fn knows(&mut self, invariant: &'static str, name: impl Into<String>) {
        self.known.entry(invariant).or_default().insert(name.into());
    }

    fn side(&mut self, invariant: &'static str, key: i64, side: usize, value: String) {
        let entry = self.sides.entry((invariant, key)).or_default();
        let twice = entry.get_mut(side).and_then(|word| word.replace(value));
        self.check(invariant, twice.is_none(), || format!("{key} is stated twice"));
    }

    /// All findings, and the number of checks.
    pub fn finish(mut self) -> (Vec<Finding>, u64) {
        let open = std::mem::take(&mut self.open);
        for ((invariant, key), [left, right]) in std::mem::take(&mut self.sides) {
            let words = |word: &Option<String>| word.clone().unwrap_or_else(|| "nothing".to_owned());
            let agree = left == right || open.contains(&(invariant, key));
            self.check(invariant, agree, || format!("{key}: {} and {} differ", words(&left), words(&right)));
        }
        for ((invariant, name), by) in std::mem::take(&mut self.named) {
            if let Some(known) = self.known.get(invariant) {
                let there = known.contains(&name);
                self.check(invariant, there, || format!("{by}: {name}"));
            }
        }
        (self.findings, self.checked)
    }

    /// Turns unreadable data into a finding; other errors stay errors.
    pub fn readable(&mut self, checked: Result<(), StoreError>) -> Result<(), StoreError> {
        match checked {
            Err(StoreError::DamagedRow { place, .. } | StoreError::Damaged { place }) => {
                self.check("all stored data can be read", false, || place);
                Ok(())
            }
            checked => checked,
        }
    }

    /// Checks that every index of a table equals a scan of the table, and that every row decodes.
    pub fn check_table(&mut self, reader: &dyn Reader, table: &crate::TableDef) -> Result<(), StoreError> {
        crate::schema::check_table(self, reader, table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_name_is_held_against_what_their_owner_knows() {
        let mut report = Report::default();
        for (name, row) in [("REDUCED", "product 1"), ("STANDRAD", "product 2"), ("STANDRAD", "product 3")] {
            report.names("a class is known", name, || row.to_owned());
        }
        report.names("nobody knows", "anything", || "row 1".to_owned());
        report.knows("a class is known", "REDUCED");
        report.knows("a class is known", "UNUSED");
        let (findings, _) = report.finish();
        let wanted = Finding { invariant: "a class is known", detail: "product 2: STANDRAD".to_owned() };
        assert_eq!(findings, [wanted]);
    }
}
