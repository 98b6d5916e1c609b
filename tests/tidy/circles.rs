//! Finds circular dependencies among the files of a crate, by their `use` declarations and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Source;

/// The module path of a file; that of the crate root is empty.
type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// The circles among the files of the crate with sources in `root`, each as a sorted list of its files.
pub(crate) fn circles(root: &Path, sources: &[Source]) -> Vec<String> {
    let graph = graph(root, sources);
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = graph.keys().map(|from| (from, reached(&graph, from))).collect();
    let mut found = BTreeSet::new();
    for (from, to) in &reach {
        if to.contains(from) {
            let circle = to.iter().filter(|other| reach[*other].contains(from)).map(|module| module.join("::"));
            found.insert(circle.collect::<Vec<_>>().join(", "));
        }
    }
    found.into_iter().collect()
}

/// All modules that a module depends on, directly or not.
fn reached<'a>(graph: &'a Graph, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        next.extend(graph[module].iter().filter(|named| seen.insert(*named)));
    }
    seen
}

/// The modules that each module of the crate names.
fn graph(root: &Path, sources: &[Source]) -> Graph {
    let own = sources.iter().filter(|source| source.path.starts_with(root) && !source.is_test());
    let files: BTreeMap<Module, &Source> = own.map(|source| (module(root, &source.path), source)).collect();
    let named = |module: &Module, source: &Source| {
        let program = source.code.strip_suffix(source.tests()).unwrap_or(&source.code);
        let files = &files;
        let found =
            paths(program).into_iter().filter_map(|path| resolve(module, &path, |module| files.contains_key(module)));
        // A file may name its own module and the crate root.
        found.filter(|found| found != module && !found.is_empty()).collect()
    };
    files.iter().map(|(module, source)| (module.clone(), named(module, source))).collect()
}

/// The module path of a source file.
fn module(root: &Path, path: &Path) -> Module {
    let below = path.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Module = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The module that a path names, as seen from a module, or `None` when it is not one of the crate's.
fn resolve(from: &Module, path: &[String], is_file: impl Fn(&Module) -> bool) -> Option<Module> {
    let mut at = from.clone();
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    at.extend(rest.iter().cloned());
    while !at.is_empty() && !is_file(&at) {
        at.pop();
    }
    is_file(&at).then_some(at)
}

/// All paths in the code that begin with `crate`, `self` or `super`, with `use` trees expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$') {
                branches(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads a path with all branches of its `use` tree into `found`, and returns the code after it.
fn branches<'a>(mut code: &'a str, stem: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let length = stem.len();
    loop {
        code = code.trim_start();
        let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
        if end > 0 {
            stem.push(code[..end].to_owned());
            code = &code[end..];
        } else if let Some(tree) = code.strip_prefix('{') {
            code = tree.trim_start();
            while !code.starts_with('}') && !code.is_empty() {
                code = branches(code, stem, found);
                let next = code.find([',', '}']).unwrap_or(code.len());
                code = code[next..].trim_start_matches(',').trim_start();
            }
            stem.truncate(length);
            return code.strip_prefix('}').unwrap_or(code);
        }
        let Some(rest) = code.strip_prefix("::") else { break };
        code = rest;
    }
    found.push(stem.clone());
    stem.truncate(length);
    code
}
