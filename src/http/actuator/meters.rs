//! Single metrics under the names that Micrometer has for them.

use promox_kernel::Error;

use super::api::{Measurement, MetricView, Tag};
use super::exposition::{self, Family};

/// Metrics whose names differ from Micrometer's in more than dots and units.
const NAMES: [(&str, &str); 4] = [
    ("process_cpus", "system.cpu.count"),
    ("process_open_fds", "process.files.open"),
    ("process_max_fds", "process.files.max"),
    ("process_cpu_seconds", "process.cpu.time"),
];
/// Units at the end of names, which Micrometer states beside them.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// The unit at the end of a metric's name.
fn unit(family: &Family) -> Option<&str> {
    UNITS.into_iter().find(|unit| family.name.ends_with(unit)).or(family.unit.as_deref())
}

/// The name that Micrometer has for a metric.
fn name(family: &Family) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(own, _)| *own == family.name) {
        return (*name).to_owned();
    }
    let own = family.name.strip_prefix("promox_").unwrap_or(&family.name);
    let without_unit = unit(family).and_then(|unit| own.strip_suffix(unit)?.strip_suffix('_'));
    without_unit.unwrap_or(own).replace('_', ".")
}

/// The names of all metrics in a text of Prometheus.
pub(crate) fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = exposition::read(text).iter().map(name).filter(|name| name != "EOF").collect();
    names.sort();
    names.dedup();
    names
}

/// A metric with those measurements that have all of the tags, written `key:value` and separated by commas; `None` if
/// there is none.
pub(crate) fn one(text: &str, wanted: &str, tags: &str) -> Result<Option<MetricView>, Error> {
    let pairs = tags.split(',').filter(|tag| !tag.is_empty()).map(|tag| tag.split_once(':'));
    let pairs: Option<Vec<(&str, &str)>> = pairs.collect();
    let pairs = pairs.ok_or_else(|| Error::field("?tag", "must be key:value, such as status:200"))?;
    let families = exposition::read(text);
    let found = families.iter().find(|family| name(family) == wanted);
    let Some((family, sums)) = found.and_then(|family| Some((family, family.sums(&pairs)?))) else { return Ok(None) };
    let measurements = sums.values.into_iter().map(|(statistic, value)| Measurement { statistic, value });
    let tags = sums.tags.into_iter().map(|(tag, values)| Tag { tag, values: values.into_iter().collect() });
    Ok(Some(MetricView {
        name: wanted.to_owned(),
        description: family.help.clone(),
        base_unit: unit(family).map(str::to_owned),
        measurements: measurements.collect(),
        available_tags: tags.collect(),
    }))
}
