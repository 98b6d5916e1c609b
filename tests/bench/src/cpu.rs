//! CPU time of this process's threads by name. Unlike rates, it hardly depends on other load of the machine.

use std::collections::BTreeMap;
use std::fs;

/// CPU time in nanoseconds, by thread name.
pub(crate) fn by_thread() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let spent = read("schedstat").split_whitespace().next().and_then(|spent| spent.parse().ok());
        *times.entry(read("comm").trim().to_owned()).or_default() += spent.unwrap_or(0_u64);
    }
    times
}

/// The CPU time that the threads have spent since `before`, in microseconds per piece of `count` pieces of work, as
/// text.
pub(crate) fn spent_since(before: &BTreeMap<String, u64>, count: usize) -> String {
    let each = |(name, spent): (String, u64)| {
        let spent = spent.saturating_sub(before.get(&name).copied().unwrap_or(0)) / 100 / count.max(1) as u64;
        (spent > 0).then(|| format!("{name} {}.{}", spent / 10, spent % 10))
    };
    by_thread().into_iter().filter_map(each).collect::<Vec<_>>().join(", ")
}
