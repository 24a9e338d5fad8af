//! What the documentation names is there: files behind links, settings, variables, make targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files below the folders that hold our own sources, with one of these endings.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let ours = |name: &str| !(name.starts_with('.') && name.len() > 1 && name != ".ci");
    let foreign = ["target", "data", "node_modules"];
    walkdir::WalkDir::new(root())
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || (ours(&name) && !foreign.contains(&&*name))
        })
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.extension().is_some_and(|end| endings.contains(&&*end.to_string_lossy()))
        })
        .collect()
}

/// The targets of the links in a Markdown text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    for file in files(&["md"]) {
        let text = fs::read_to_string(&file).unwrap();
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = link.split('#').next().unwrap_or(link);
            if !file.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n{}", broken.join("\n"));
}

/// The settings of the sample file, `section.key`. Those without a default are commented out.
fn settings(sample: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in sample.lines() {
        let bare = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            found.insert(format!("{section}.{key}"));
        }
    }
    found
}

#[test]
fn the_readme_lists_every_setting() {
    let listed: BTreeSet<String> = read("README.md")
        .lines()
        .filter(|line| line.contains("| `REPLYGUARD_"))
        .filter_map(|line| line.split('`').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(listed, settings(&read("docs/replyguard.toml")), "README (left), sample (right)");
}

#[test]
fn variables_are_those_of_the_command_line() {
    let variables = |text: &str| -> BTreeSet<String> {
        text.match_indices("REPLYGUARD_")
            .map(|(start, _)| {
                let name = &text[start..];
                let end = name.find(|c: char| !c.is_ascii_uppercase() && c != '_');
                name[..end.unwrap_or(name.len())].to_owned()
            })
            .filter(|name| name != "REPLYGUARD_")
            .collect()
    };
    let known: BTreeSet<String> = files(&["rs"])
        .iter()
        .filter(|path| path.starts_with(root().join("src/cli")))
        .flat_map(|path| variables(&fs::read_to_string(path).unwrap()))
        .collect();
    for document in ["README.md", "Dockerfile", "docs/replyguard.toml", "docs/operating.md"] {
        for name in variables(&read(document)) {
            assert!(
                known.contains(&name),
                "{document} names {name}, which `src/cli` does not read"
            );
        }
    }
}

#[test]
fn make_targets_are_there() {
    let makefile = read("Makefile");
    for document in ["README.md", "CONTRIBUTING.md", ".ci/run", "training-data/README.md"] {
        let text = read(document);
        let called = text.split("make ").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.is_empty())
        });
        // Prose has `make` too ("make are enough"): only what stands as code counts.
        for name in called.filter(|name| text.contains(&format!("`make {name}`"))) {
            assert!(makefile.contains(&format!("\n{name}:")), "{document}: no target `{name}`");
        }
    }
}
