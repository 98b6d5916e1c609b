//! The text format of Prometheus: read for single metrics, and converted to its older version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A metric with its samples, as the text describes it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// A sample of a metric.
#[derive(Debug)]
pub(crate) struct Sample {
    /// What follows the metric's name, such as `_total` or `_count`.
    suffix: String,
    labels: Vec<(String, String)>,
    value: f64,
    /// The line without the metric's name.
    rest: String,
}

/// The sums of a metric's samples.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Statistics by their names in Micrometer.
    pub(crate) values: BTreeMap<&'static str, f64>,
    pub(crate) tags: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the metrics of a text.
pub(crate) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(word), Some(name)) = (words.next(), words.next()) else { continue };
            if families.last().is_none_or(|family| family.name != name) {
                families.push(Family { name: name.to_owned(), ..Family::default() });
            }
            let (Some(family), rest) = (families.last_mut(), words.next().unwrap_or_default()) else { continue };
            match word {
                "HELP" => rest.clone_into(&mut family.help),
                "TYPE" => rest.clone_into(&mut family.kind),
                "UNIT" => family.unit = Some(rest.to_owned()),
                _ => {}
            }
        } else if let Some(family) = families.last_mut() {
            family.samples.extend(line.strip_prefix(family.name.as_str()).and_then(sample));
        }
    }
    families
}

fn sample(rest: &str) -> Option<Sample> {
    let (head, value) = rest.rsplit_once(' ')?;
    let (suffix, labels) = head.split_once('{').unwrap_or((head, ""));
    let labels = labels.strip_suffix('}').unwrap_or_default();
    let pairs = labels.split("\",").filter_map(|pair| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    let (suffix, labels) = (suffix.to_owned(), pairs.collect());
    Some(Sample { suffix, labels, value: value.parse().ok()?, rest: rest.to_owned() })
}

impl Family {
    /// The sums of the samples that have all of these labels.
    pub(crate) fn sums(&self, wanted: &[(&str, &str)]) -> Option<Sums> {
        let has = |sample: &&Sample| {
            wanted.iter().all(|(name, value)| sample.labels.iter().any(|(own, is)| own == name && is == value))
        };
        let mut sums = Sums::default();
        for sample in self.samples.iter().filter(has) {
            let statistic = match sample.suffix.as_str() {
                "" => "VALUE",
                "_total" | "_count" => "COUNT",
                "_sum" => "TOTAL_TIME",
                _ => continue,
            };
            let sum = sums.values.entry(statistic).or_default();
            #[allow(clippy::float_arithmetic, reason = "samples of Prometheus are floating-point numbers")]
            (*sum += sample.value);
            let others = sample.labels.iter().filter(|(name, _)| !wanted.iter().any(|(given, _)| given == name));
            for (name, value) in others {
                sums.tags.entry(name.clone()).or_default().insert(value.clone());
            }
        }
        (!sums.values.is_empty()).then_some(sums)
    }
}

/// The text in version 0.0.4 of the format, in which a counter is named with its suffix and there are no units.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for family in read(text).iter().filter(|family| !family.kind.is_empty()) {
        let suffix = if family.kind == "counter" { "_total" } else { "" };
        let kind = if family.kind == "unknown" { "untyped" } else { &family.kind };
        let _ = writeln!(out, "# HELP {}{suffix} {}", family.name, family.help);
        let _ = writeln!(out, "# TYPE {}{suffix} {kind}", family.name);
        for sample in &family.samples {
            let _ = writeln!(out, "{}{}", family.name, sample.rest);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_requests Requests.\n# TYPE a_requests counter\n\
        a_requests_total{service=\"x\",status=\"200\"} 3\na_requests_total{service=\"y\",status=\"200\"} 4\n\
        # HELP a_seconds Times.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
        a_seconds_sum{service=\"x\"} 1.5\na_seconds_count{service=\"x\"} 2\na_seconds_bucket{le=\"+Inf\",service=\"x\"} 2\n\
        # HELP b Open.\n# TYPE b gauge\nb 7\n# EOF\n";

    #[test]
    fn samples_are_added_up_over_the_labels_that_are_not_given() {
        let families = read(TEXT);
        let sums = |index: usize, wanted: &[(&str, &str)]| families[index].sums(wanted);
        let value = |sums: &Sums, statistic: &str| sums.values[statistic].to_string();
        let all = sums(0, &[]).unwrap();
        assert_eq!((value(&all, "COUNT").as_str(), all.tags["service"].len()), ("7", 2));
        let one = sums(0, &[("service", "y")]).unwrap();
        assert!(value(&one, "COUNT") == "4" && !one.tags.contains_key("service"));
        assert!(sums(0, &[("service", "z")]).is_none());
        let times = sums(1, &[]).unwrap();
        assert_eq!((value(&times, "TOTAL_TIME"), value(&times, "COUNT")), ("1.5".to_owned(), "2".to_owned()));
        assert_eq!(families[1].unit.as_deref(), Some("seconds"));
        assert_eq!(value(&sums(2, &[]).unwrap(), "VALUE"), "7");
    }

    #[test]
    fn the_older_format_names_counters_with_their_suffix() {
        let plain = plain(TEXT);
        for line in ["# TYPE a_requests_total counter", "a_requests_total{service=\"x\",status=\"200\"} 3", "b 7"] {
            assert!(plain.contains(line), "{line}\n{plain}");
        }
        assert!(!plain.contains("# UNIT") && !plain.contains("# EOF"), "{plain}");
    }
}
