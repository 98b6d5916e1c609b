//! The house rules that no compiler checks: small files and functions, one direction of dependencies, no loose ends, and
//! documents that name only what there is. It reads the sources as text, so it needs nothing built.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

#[path = "tidy/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where sources are.
const ROOTS: [&str; 4] = ["src", "services", "storage", "tests"];
/// Lines of a file.
const LONGEST_FILE: usize = 600;
/// Lines of a function, from its name to its brace.
const LONGEST_FUNCTION: usize = 70;
/// Crates that a service may name.
const SHARED: [&str; 3] = ["promox-kernel", "promox-contract", "promox-storage"];
/// The crate that the services' tests stand on: a service names it among its dev-dependencies only.
const TESTKIT: &str = "promox-testkit";
/// Names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "manager", "common"];
/// The files that list the codes of refusals.
const CODES: [&str; 2] = ["services/kernel/src/codes.rs", "services/contract/src/codes.rs"];
/// Files that people make, which documents may name without there being one here.
const MADE_BY_PEOPLE: [&str; 1] = ["promox.toml"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir`, by its path from the root; what is built, hidden or data is left out.
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

/// A source file, with its text as written and with strings and comments blanked out.
struct Source {
    path: PathBuf,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") && ROOTS.iter().any(|root| path.starts_with(root))
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let code = blank(&text);
        Source { path, text, code }
    };
    every_file().into_iter().filter(wanted).map(read).collect()
}

impl Source {
    /// Whether the file holds nothing but tests. Benchmarks are programs.
    fn is_test(&self) -> bool {
        !self.path.starts_with("tests/bench") && self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The code of its tests: all of it, or what follows `#[cfg(test)]` on a module.
    fn tests(&self) -> &str {
        if self.is_test() {
            return &self.code;
        }
        self.code.split_once("#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests)
    }
}

/// The same text, line for line, with the insides of strings, characters and comments replaced by blanks.
fn blank(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(&bytes, at);
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

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn skipped(text: &[char], at: usize) -> usize {
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
        return quoted(text, at + 1);
    }
    let is_character = starts("'") && (text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\''));
    if is_character { to("'", at + if text[at + 1] == '\\' { 3 } else { 2 }) } else { at }
}

/// Where a string that has begun ends.
fn quoted(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Every function of blanked code: the line it begins on, and how many it has.
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

/// Fails with everything that is wrong, not only the first.
#[track_caller]
fn none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}\n  {}", wrong.join("\n  "));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for source in sources() {
        let (path, lines) = (source.path.display(), source.text.lines().count());
        if lines > LONGEST_FILE {
            wrong.push(format!("{path} has {lines} lines"));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!("{path} does not open with what it is for"));
        }
        let stem = source.path.file_stem().unwrap().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            wrong.push(format!("{path} has a name that says nothing"));
        }
    }
    none(&wrong, "files have at most 600 lines, open with //! and have names that mean something");
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (line, lines) in functions(&source.code) {
            if lines > LONGEST_FUNCTION {
                wrong.push(format!("{}:{line} has {lines} lines", source.path.display()));
            }
        }
    }
    none(&wrong, "functions have at most 70 lines");
}

#[test]
fn nothing_is_left_for_later() {
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimpl", "emented!("]].map(|parts| parts.concat());
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '!' && c != '(').collect();
            if marks
                .iter()
                .any(|mark| words.iter().any(|word| word == mark || word.starts_with(mark) && mark.ends_with('(')))
            {
                wrong.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    none(&wrong, "what is committed is done");
}

#[test]
fn tests_wait_for_what_happens_and_never_for_time() {
    let calls = [["thread::", "sleep("], ["time::", "sleep("]].map(|parts| parts.concat());
    let late = |source: &Source| calls.iter().any(|call| source.tests().contains(call.as_str()));
    let wrong: Vec<String> =
        sources().iter().filter(|source| late(source)).map(|source| source.path.display().to_string()).collect();
    none(&wrong, "a test waits for a thing to happen, it does not sleep");
}

/// The crates of the workspace: folder, name, names of what each depends on; the test kit counts where more than tests need it.
fn crates() -> Vec<(PathBuf, String, BTreeSet<String>)> {
    let manifest = |path: PathBuf| {
        let table: toml::Table = fs::read_to_string(root().join(&path)).unwrap().parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let named = |section: &str| {
            let listed = table.get(section).and_then(toml::Value::as_table);
            listed.map(|listed| listed.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let tests = named("dev-dependencies").into_iter().filter(|name| name != TESTKIT);
        let depends = [named("dependencies"), named("build-dependencies")].concat().into_iter().chain(tests).collect();
        (path.parent().unwrap().to_owned(), name, depends)
    };
    every_file().into_iter().filter(|path| path.file_name().unwrap() == "Cargo.toml").map(manifest).collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (folder, name, depends) in crates() {
        let allowed: &[&str] = match name.as_str() {
            "promox-kernel" => &[],
            "promox-contract" | "promox-storage" => &SHARED[..1],
            "promox-embedded" => &["promox-kernel", "promox-storage"],
            _ if folder.starts_with("services") => &SHARED,
            _ => continue,
        };
        let own = depends.iter().filter(|crate_name| crate_name.starts_with("promox"));
        wrong.extend(own.filter(|own| !allowed.contains(&own.as_str())).map(|own| format!("{name} depends on {own}")));
    }
    none(&wrong, "no service depends on a service, nothing below depends on what is above");
}

#[test]
fn files_do_not_name_each_other_in_a_circle() {
    let (sources, mut wrong) = (sources(), Vec::new());
    for (folder, ..) in crates() {
        let circles = circles::circles(&folder.join("src"), &sources);
        wrong.extend(circles.iter().map(|circle| format!("{}: {circle}", folder.display())));
    }
    none(&wrong, "no file needs a file that needs it");
}

/// The texts of a line in quotation marks, each with what is before it.
fn quoted_texts(line: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = line.split('"').collect();
    parts.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}

#[test]
fn codes_of_refusals_are_constants() {
    let sources = sources();
    let listing = |source: &&Source| CODES.iter().any(|file| source.path.ends_with(file));
    let listed = sources.iter().filter(listing).flat_map(|source| source.code.rsplit('{').next().unwrap().split(','));
    let mut names = BTreeSet::new();
    let names_of = listed.map(|name| name.trim().trim_end_matches('}').trim()).filter(|name| !name.is_empty());
    let mut wrong: Vec<String> =
        names_of.filter(|name| !names.insert(*name)).map(|name| format!("{name} is listed twice")).collect();
    assert!(names.contains("INSUFFICIENT_STOCK") && names.contains("NOT_FOUND"), "the lists are not read");
    let made = ["Error::conflict(\"", "Error::refused(\"", "Error::unavailable(\"", " code: \""];
    let own = |source: &&Source| {
        let test = ["testkit", "conformance", "tests"].iter().any(|part| source.path.iter().any(|it| it == *part));
        !test && !source.is_test()
    };
    for source in sources.iter().filter(own).filter(|source| !listing(source)) {
        let program = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in (1..).zip(program.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            // What stands after "=" is the value of an enum or the name of an event, which may be spelled alike.
            let listed =
                quoted_texts(line).iter().any(|(before, text)| names.contains(text) && !before.ends_with(" = "));
            if listed || made.iter().any(|call| line.contains(call)) {
                wrong.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    none(&wrong, "the code of a refusal stands once, as a constant");
}

#[test]
fn only_the_program_and_tests_name_an_engine() {
    let engines = ["promox_embedded", "EmbeddedEngine", "redb::", "sled::"];
    let mut wrong = Vec::new();
    let services =
        |source: &&Source| source.path.starts_with("services") && !source.path.starts_with("services/testkit");
    for source in sources().iter().filter(services) {
        let program = source.code.strip_suffix(source.tests()).unwrap_or(&source.code);
        let program = if source.is_test() { "" } else { program };
        if engines.iter().any(|engine| source.code.contains(engine)) || program.contains("MemoryEngine") {
            wrong.push(source.path.display().to_string());
        }
    }
    none(&wrong, "a service knows storage by its contract only");
}

#[test]
fn every_crate_says_what_it_is() {
    let mut wrong = Vec::new();
    for (folder, name, _) in crates() {
        let starts = ["src/lib.rs", "src/main.rs"].map(|file| root().join(&folder).join(file));
        let documented = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.starts_with("//! "));
        if !starts.iter().filter(|file| file.exists()).all(documented) || !starts.iter().any(|file| file.exists()) {
            wrong.push(name);
        }
    }
    none(&wrong, "a crate opens with what it is for and what always holds");
}

/// What stands between backticks in a text, outside blocks of code.
fn quoted_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
}

/// What a document links to in this project, by its path from the document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

/// Whether it reads like a file or folder of this project.
fn is_path(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let ending = [".rs", ".md", ".csv", ".html", ".ndjson", ".json"].iter().any(|ending| name.ends_with(ending));
    let below = ROOTS.iter().chain(&["fixtures", ".ci"]).any(|root| name.starts_with(&format!("{root}/")));
    name.chars().all(plain)
        && !name.starts_with('/')
        && !name.starts_with('.')
        && (ending || below || name == ".ci/run")
}

/// The crates that a manifest depends on, by their names in code; those of the workspace too.
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
        let room = manifest.parent().unwrap();
        // The workspace's manifest names what all rooms share.
        let own = |source: &&Source| source.path.starts_with(room);
        let code: String = sources.iter().filter(own).map(|source| source.code.as_str()).collect();
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let missing = dependencies(&text).into_iter().filter(|name| !words.contains(name.as_str()));
        unused.extend(missing.map(|name| format!("{}: {name}", manifest.display())));
    }
    none(&unused, "what a crate depends on, it uses");
}

#[test]
fn documents_name_only_what_there_is() {
    let all = every_file();
    let exists = |name: &str| {
        let name = name.trim_end_matches('/');
        MADE_BY_PEOPLE.contains(&name) || root().join(name).exists() || all.iter().any(|path| path.ends_with(name))
    };
    let mut wrong = Vec::new();
    let is_document = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "md");
    for document in all.iter().filter(is_document) {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let missing = quoted_names(&text).filter(|name| is_path(name) && !exists(name));
        wrong.extend(missing.map(|name| format!("{}: {name}", document.display())));
        let broken = links(&text).filter(|target| !root().join(document).with_file_name(target).exists());
        wrong.extend(broken.map(|target| format!("{}: {target}", document.display())));
    }
    for source in sources() {
        let comments = source.text.lines().filter_map(|line| Some(line.trim_start().split_once("//")?.1));
        let named =
            comments.flat_map(quoted_names).filter(|name| is_path(name) && Path::new(name).extension().is_some());
        wrong.extend(named.filter(|name| !exists(name)).map(|name| format!("{}: {name}", source.path.display())));
    }
    none(&wrong, "what a document names exists");
}

#[test]
fn the_checks_see_what_they_look_for() {
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
