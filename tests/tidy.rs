//! House rules that no compiler checks: small files and functions, one direction of dependencies, no unfinished
//! work, and documents that name only existing files. Reads the sources as text, so nothing needs to be built.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test reports what is wrong by panicking"
)]

#[path = "tidy/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories with sources.
const ROOTS: [&str; 4] = ["src", "services", "storage", "tests"];
/// Maximum lines of a file.
const MAX_FILE_LINES: usize = 600;
/// Maximum lines of a function, from its signature to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// Crates that a service may depend on.
const SHARED: [&str; 4] = ["promox-kernel", "promox-contract", "promox-storage", "promox-outbound"];
/// The crates for tests, which others may have as a dev-dependency only: the harness of the services' tests, and the
/// servers that tests start.
const TEST_CRATES: [&str; 2] = ["promox-testkit", "promox-servers"];
/// File names without meaning.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "manager", "common"];
/// The files that define the refusal codes.
const CODES: [&str; 2] = ["services/kernel/src/codes.rs", "services/contract/src/codes.rs"];
/// Files of users, which documents may name although they do not exist here.
const USER_FILES: [&str; 1] = ["promox.toml"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Collects every file below `dir` with its path from the root, except build output, Git's files and data directories.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "target" || name == ".git" || name == "promox-data" {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
}

fn every_file() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    found.sort();
    found
}

/// A source file: its path, its text, and its code with strings and comments blanked out.
struct Source {
    path: PathBuf,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let is_source = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") && ROOTS.iter().any(|root| path.starts_with(root))
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let code = blank(&text);
        Source { path, text, code }
    };
    every_file().into_iter().filter(is_source).map(read).collect()
}

impl Source {
    /// Whether the file contains only tests. Benchmarks are programs.
    fn is_test(&self) -> bool {
        !self.path.starts_with("tests/bench") && self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The code of the file's tests: all of it, or its `#[cfg(test)]` module.
    fn tests(&self) -> &str {
        if self.is_test() {
            return &self.code;
        }
        self.code.split_once("#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests)
    }
}

/// The text with the characters of strings, character literals and comments replaced by blanks. Line numbers stay the
/// same.
fn blank(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(&bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The end of the comment or literal that begins at `at`, or `at` when none begins there.
fn literal_end(text: &[char], at: usize) -> usize {
    let starts = |prefix: &str| text[at..].iter().copied().take(prefix.len()).eq(prefix.chars());
    let to = |end: &str, from: usize| {
        let length = end.chars().count();
        (from..text.len())
            .find(|i| text[*i..].iter().copied().take(length).eq(end.chars()))
            .map_or(text.len(), |i| i + length)
    };
    if starts("//") {
        return to("\n", at).saturating_sub(1).max(at + 2);
    }
    if starts("/*") {
        return to("*/", at + 2);
    }
    if starts("r#\"") || starts("r\"") {
        let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
        return to(&format!("\"{}", "#".repeat(hashes)), at + 2 + hashes);
    }
    if starts("\"") {
        return string_end(text, at + 1);
    }
    let is_character = starts("'") && (text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\''));
    if is_character { to("'", at + if text[at + 1] == '\\' { 3 } else { 2 }) } else { at }
}

/// The end of the string whose content begins at `at`.
fn string_end(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// All functions in blanked code, each as its first line and its number of lines.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at..];
        let Some(open) = rest.find(['{', ';']).filter(|open| rest.as_bytes()[*open] == b'{') else { continue };
        let mut depth = 0_usize;
        let end = rest[open..].char_indices().find_map(|(i, c)| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            (depth == 0).then_some(open + i)
        });
        let body = &rest[..end.unwrap_or(rest.len())];
        let count = |text: &str| text.matches('\n').count() + 1;
        found.push((count(&code[..at]), count(body)));
    }
    found
}

/// Asserts that there are no violations of a rule, and lists all of them otherwise.
#[track_caller]
fn assert_none(violations: &[String], rule: &str) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}

#[test]
fn files_are_short_and_open_with_their_purpose() {
    let mut violations = Vec::new();
    for source in sources() {
        let (path, lines) = (source.path.display(), source.text.lines().count());
        if lines > MAX_FILE_LINES {
            violations.push(format!("{path} has {lines} lines"));
        }
        if !source.text.starts_with("//!") {
            violations.push(format!("{path} does not open with a //! comment"));
        }
        let stem = source.path.file_stem().unwrap().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            violations.push(format!("{path} has a meaningless name"));
        }
    }
    assert_none(&violations, "files have at most 600 lines, open with //! and have meaningful names");
}

#[test]
fn functions_are_short() {
    let mut violations = Vec::new();
    for source in sources() {
        for (line, lines) in functions(&source.code) {
            if lines > MAX_FUNCTION_LINES {
                violations.push(format!("{}:{line} has {lines} lines", source.path.display()));
            }
        }
    }
    assert_none(&violations, "functions have at most 70 lines");
}

#[test]
fn no_work_is_left_unfinished() {
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimpl", "emented!("]].map(|parts| parts.concat());
    let mut violations = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '!' && c != '(').collect();
            if marks
                .iter()
                .any(|mark| words.iter().any(|word| word == mark || word.starts_with(mark) && mark.ends_with('(')))
            {
                violations.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    assert_none(&violations, "committed work has no marks of unfinished work");
}

#[test]
fn tests_wait_for_conditions_and_never_for_time() {
    let calls = [["thread::", "sleep("], ["time::", "sleep("]].map(|parts| parts.concat());
    let sleeps = |source: &Source| calls.iter().any(|call| source.tests().contains(call.as_str()));
    let violations: Vec<String> =
        sources().iter().filter(|source| sleeps(source)).map(|source| source.path.display().to_string()).collect();
    assert_none(&violations, "a test waits for a condition; it does not sleep");
}

/// The crates of the workspace: directory, name and dependencies. Crates for tests do not count as dev-dependencies.
fn crates() -> Vec<(PathBuf, String, BTreeSet<String>)> {
    let manifest = |path: PathBuf| {
        let table: toml::Table = fs::read_to_string(root().join(&path)).unwrap().parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let named = |section: &str| {
            let listed = table.get(section).and_then(toml::Value::as_table);
            listed.map(|listed| listed.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let tests = named("dev-dependencies").into_iter().filter(|name| !TEST_CRATES.contains(&name.as_str()));
        let depends = [named("dependencies"), named("build-dependencies")].concat().into_iter().chain(tests).collect();
        (path.parent().unwrap().to_owned(), name, depends)
    };
    every_file().into_iter().filter(|path| path.file_name().unwrap() == "Cargo.toml").map(manifest).collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut violations = Vec::new();
    for (folder, name, depends) in crates() {
        let allowed: &[&str] = match name.as_str() {
            "promox-kernel" => &[],
            "promox-contract" | "promox-storage" => &SHARED[..1],
            "promox-outbound" => &SHARED[..2],
            "promox-embedded" | "promox-external" => &["promox-kernel", "promox-storage"],
            _ if folder.starts_with("services") => &SHARED,
            _ => continue,
        };
        let own = depends.iter().filter(|crate_name| crate_name.starts_with("promox"));
        violations
            .extend(own.filter(|own| !allowed.contains(&own.as_str())).map(|own| format!("{name} depends on {own}")));
    }
    assert_none(&violations, "no service depends on a service, and no lower layer on a higher one");
}

#[test]
fn files_have_no_circular_dependencies() {
    let (sources, mut violations) = (sources(), Vec::new());
    for (folder, ..) in crates() {
        let circles = circles::circles(&folder.join("src"), &sources);
        violations.extend(circles.iter().map(|circle| format!("{}: {circle}", folder.display())));
    }
    assert_none(&violations, "no file depends on a file that depends on it");
}

/// The quoted texts of a line, each with the text before it.
fn quoted_texts(line: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = line.split('"').collect();
    parts.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}

#[test]
fn refusal_codes_are_constants() {
    let sources = sources();
    let listing = |source: &&Source| CODES.iter().any(|file| source.path.ends_with(file));
    let listed = sources.iter().filter(listing).flat_map(|source| source.code.rsplit('{').next().unwrap().split(','));
    let mut names = BTreeSet::new();
    let names_of = listed.map(|name| name.trim().trim_end_matches('}').trim()).filter(|name| !name.is_empty());
    let mut violations: Vec<String> =
        names_of.filter(|name| !names.insert(*name)).map(|name| format!("{name} is listed twice")).collect();
    assert!(names.contains("INSUFFICIENT_STOCK") && names.contains("NOT_FOUND"), "the lists of codes were not found");
    let constructors = ["Error::conflict(\"", "Error::refused(\"", "Error::unavailable(\"", " code: \""];
    let own = |source: &&Source| {
        let test = ["testkit", "conformance", "tests"].iter().any(|part| source.path.iter().any(|it| it == *part));
        !test && !source.is_test()
    };
    for source in sources.iter().filter(own).filter(|source| !listing(source)) {
        let program = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in (1..).zip(program.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            // A text after "=" is the value of an enum or the name of an event, which may have the same spelling.
            let listed =
                quoted_texts(line).iter().any(|(before, text)| names.contains(text) && !before.ends_with(" = "));
            if listed || constructors.iter().any(|call| line.contains(call)) {
                violations.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    assert_none(&violations, "a refusal code is written once, as a constant");
}

#[test]
fn only_the_program_and_tests_name_an_engine() {
    let engines = ["promox_embedded", "promox_external", "EmbeddedEngine", "PostgresEngine", "redb::", "sled::"];
    let mut violations = Vec::new();
    let services =
        |source: &&Source| source.path.starts_with("services") && !source.path.starts_with("services/testkit");
    for source in sources().iter().filter(services) {
        let program = source.code.strip_suffix(source.tests()).unwrap_or(&source.code);
        let program = if source.is_test() { "" } else { program };
        if engines.iter().any(|engine| source.code.contains(engine)) || program.contains("MemoryEngine") {
            violations.push(source.path.display().to_string());
        }
    }
    assert_none(&violations, "a service uses storage only by its contract");
}

#[test]
fn every_crate_opens_with_its_purpose() {
    let mut violations = Vec::new();
    for (folder, name, _) in crates() {
        let starts = ["src/lib.rs", "src/main.rs"].map(|file| root().join(&folder).join(file));
        let documented = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.starts_with("//! "));
        if !starts.iter().filter(|file| file.exists()).all(documented) || !starts.iter().any(|file| file.exists()) {
            violations.push(name);
        }
    }
    assert_none(&violations, "a crate opens with a //! comment on its purpose");
}

/// The texts between backticks, outside of code blocks.
fn quoted_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
}

/// The link targets within this project, as paths relative to the document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

/// Whether a name looks like a file or directory of this project.
fn is_path(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let ending = [".rs", ".md", ".csv", ".html", ".ndjson", ".json"].iter().any(|ending| name.ends_with(ending));
    let below = ROOTS.iter().chain(&["fixtures", ".ci"]).any(|root| name.starts_with(&format!("{root}/")));
    name.chars().all(plain)
        && !name.starts_with('/')
        && !name.starts_with('.')
        && (ending || below || name == ".ci/run")
}

/// The names in code of the crates that a manifest depends on, including those of the workspace's dependencies.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let names = |table: &toml::Table, key: &str| {
        let listed = table.get(key).and_then(toml::Value::as_table);
        listed.map(|table| table.keys().map(|name| name.replace('-', "_")).collect::<Vec<_>>()).unwrap_or_default()
    };
    let shared = manifest.get("workspace").and_then(toml::Value::as_table);
    let shared = shared.map(|workspace| names(workspace, "dependencies")).unwrap_or_default();
    [names(&manifest, "dependencies"), names(&manifest, "dev-dependencies"), shared].concat()
}

#[test]
fn every_dependency_is_used() {
    let sources = sources();
    let mut unused = Vec::new();
    for manifest in every_file().iter().filter(|path| path.ends_with("Cargo.toml")) {
        let directory = manifest.parent().unwrap();
        // The workspace's manifest is in the root, so it covers the sources of all crates.
        let own = |source: &&Source| source.path.starts_with(directory);
        let code: String = sources.iter().filter(own).map(|source| source.code.as_str()).collect();
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let missing = dependencies(&text).into_iter().filter(|name| !words.contains(name.as_str()));
        unused.extend(missing.map(|name| format!("{}: {name}", manifest.display())));
    }
    assert_none(&unused, "a crate uses all its dependencies");
}

#[test]
fn documents_name_only_existing_files() {
    let all = every_file();
    let exists = |name: &str| {
        let name = name.trim_end_matches('/');
        USER_FILES.contains(&name) || root().join(name).exists() || all.iter().any(|path| path.ends_with(name))
    };
    let mut violations = Vec::new();
    let is_document = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "md");
    for document in all.iter().filter(is_document) {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let missing = quoted_names(&text).filter(|name| is_path(name) && !exists(name));
        violations.extend(missing.map(|name| format!("{}: {name}", document.display())));
        let broken = links(&text).filter(|target| !root().join(document).with_file_name(target).exists());
        violations.extend(broken.map(|target| format!("{}: {target}", document.display())));
    }
    for source in sources() {
        let comments = source.text.lines().filter_map(|line| Some(line.trim_start().split_once("//")?.1));
        let named =
            comments.flat_map(quoted_names).filter(|name| is_path(name) && Path::new(name).extension().is_some());
        violations.extend(named.filter(|name| !exists(name)).map(|name| format!("{}: {name}", source.path.display())));
    }
    assert_none(&violations, "the files that a document names exist");
}

#[test]
fn the_checks_detect_violations() {
    let code = blank("fn a() {\n let s = \"}\"; // }\n let c = '{';\n let r = r#\"}\"#;\n}\nfn b<'a>(x: &'a str);\n");
    assert_eq!(functions(&code), [(1, 5)]);
    assert!(!code.contains('"') && code.lines().count() == 6);
    let names: Vec<&str> = quoted_names("see `src/main.rs` and `let x`\n```\n`no.rs`\n```\n").collect();
    assert_eq!(names, ["src/main.rs", "let x"]);
    let manifest = "[dependencies]\nb-c.workspace = true\n[dev-dependencies]\nd = { path = \"e\" }\n[lints]\nf = 1\n";
    assert_eq!(dependencies(manifest), ["b_c", "d"]);
    let targets: Vec<&str> = links("[a](docs/a.md), [b](https://b.example), [c](#c)").collect();
    assert_eq!(targets, ["docs/a.md"]);
    assert!(is_path("src/main.rs") && is_path("services/order/") && !is_path("let x") && !is_path("/api/orders"));
}
