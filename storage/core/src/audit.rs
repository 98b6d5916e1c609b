//! The auditor's interface for services. A service checks its own invariants, and states facts that other services must
//! agree with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::facts::Facts;
use crate::{Reader, StoreError};

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, such as `"stock: on hand = sum of movements"`.
    pub invariant: &'static str,
    /// The data that violates it.
    pub detail: String,
}

/// Collects findings, and facts that two services must agree on.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    checked: u64,
    /// Facts as both services state them.
    facts: Facts,
    /// Why facts could not be kept.
    lost: Option<std::io::Error>,
    /// Facts whose two sides may differ for now.
    open: BTreeSet<(&'static str, i64)>,
    /// Names that rows refer to, each with a description of the first such row.
    named: BTreeMap<(&'static str, String), String>,
    /// Names that exist, by invariant.
    known: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Report {
    /// A report for a large store. Facts that do not fit into its buffer are kept in temporary files in `dir`.
    pub fn in_dir(dir: PathBuf) -> Self {
        Self { facts: Facts::in_dir(dir), ..Self::default() }
    }

    /// Counts a check, and adds a finding unless `holds`.
    pub fn check(&mut self, invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.findings.push(Finding { invariant, detail: detail() });
        }
    }

    /// States one side of a fact, as in `report.left("a paid order has one capture of its total", order, total)`. The
    /// other service states the same invariant and key with [`Report::right`].
    pub fn left(&mut self, invariant: &'static str, key: impl Into<i64>, value: impl ToString) {
        self.side(invariant, key.into(), 0, &value.to_string());
    }

    /// States the other side of a fact, see [`Report::left`]. A key with only one side, or with two different values,
    /// is a finding.
    pub fn right(&mut self, invariant: &'static str, key: impl Into<i64>, value: impl ToString) {
        self.side(invariant, key.into(), 1, &value.to_string());
    }

    /// Allows the sides of a fact to differ, because an operation whose next step is stored is still in progress.
    pub fn open(&mut self, invariant: &'static str, key: impl Into<i64>) {
        self.open.insert((invariant, key.into()));
    }

    /// States that a row refers to a name that must exist in another service, as in
    /// `report.names("product: its tax class is one of the store's", "REDUCED", || "product 7")`.
    pub fn names(&mut self, invariant: &'static str, name: impl Into<String>, by: impl FnOnce() -> String) {
        self.named.entry((invariant, name.into())).or_insert_with(by);
    }

    /// States that a name exists, so that rows may refer to it. If no service states a name for the invariant,
    /// references to it are not checked.
    pub fn knows(&mut self, invariant: &'static str, name: impl Into<String>) {
        self.known.entry(invariant).or_default().insert(name.into());
    }

    fn side(&mut self, invariant: &'static str, key: i64, side: u8, value: &str) {
        self.checked += 1;
        if self.lost.is_none() {
            self.lost = self.facts.add(invariant, key, side, value).err();
        }
    }

    /// Compares the two sides of every fact.
    fn compare_facts(&mut self) {
        let mut facts = std::mem::take(&mut self.facts);
        let (mut subject, mut sides): (_, [Option<String>; 2]) = (None, [None, None]);
        let visited = facts.visit(|facts, fact| {
            let next = (facts.invariant(fact.subject().0), fact.subject().1);
            if let Some(subject) = subject.replace(next).filter(|subject| *subject != next) {
                self.compare_sides(subject, std::mem::take(&mut sides));
            }
            let side = sides.get_mut(fact.side());
            if side.and_then(|stated| stated.replace(fact.value)).is_some() {
                self.findings.push(Finding { invariant: next.0, detail: format!("{} is stated twice", next.1) });
            }
        });
        if let Some(subject) = subject {
            self.compare_sides(subject, sides);
        }
        if let Some(error) = self.lost.take().or(visited.err()) {
            self.check("audit: the facts of all services can be compared", false, || error.to_string());
        }
    }

    fn compare_sides(&mut self, subject: (&'static str, i64), [left, right]: [Option<String>; 2]) {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let agree = left == right || self.open.contains(&subject);
        let (invariant, key) = subject;
        self.check(invariant, agree, || format!("{key}: {} and {} differ", text(&left), text(&right)));
    }

    /// Compares the facts, and returns all findings and the number of checks.
    pub fn finish(mut self) -> (Vec<Finding>, u64) {
        self.compare_facts();
        for ((invariant, name), by) in std::mem::take(&mut self.named) {
            if let Some(known) = self.known.get(invariant) {
                let exists = known.contains(&name);
                self.check(invariant, exists, || format!("{by}: {name}"));
            }
        }
        (self.findings, self.checked)
    }

    /// Turns an error about damaged data into a finding. Other errors are returned.
    pub fn readable(&mut self, checked: Result<(), StoreError>) -> Result<(), StoreError> {
        match checked {
            Err(StoreError::DamagedRow { place, .. } | StoreError::Damaged { place }) => {
                self.check("all stored data can be read", false, || place);
                Ok(())
            }
            checked => checked,
        }
    }

    /// Checks that every row of a table decodes, and that every index has exactly the entries of the rows.
    pub fn check_table(&mut self, reader: &dyn Reader, table: &crate::TableDef) -> Result<(), StoreError> {
        crate::schema::check_table(self, reader, table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_checked_against_the_names_that_exist() {
        let mut report = Report::default();
        for (name, row) in [("REDUCED", "product 1"), ("STANDRAD", "product 2"), ("STANDRAD", "product 3")] {
            report.names("a class is known", name, || row.to_owned());
        }
        report.names("no owner states names", "anything", || "row 1".to_owned());
        report.knows("a class is known", "REDUCED");
        report.knows("a class is known", "UNUSED");
        let (findings, _) = report.finish();
        let expected = Finding { invariant: "a class is known", detail: "product 2: STANDRAD".to_owned() };
        assert_eq!(findings, [expected]);
    }
}
