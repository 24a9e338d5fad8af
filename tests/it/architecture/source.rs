//! A source file as the rules see it: its tokens without tests, and the paths they name.
//!
//! The rules read tokens and not the syntax tree where they can, because a path inside a macro
//! call is as much an import as one in a `use`.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use proc_macro2::{Delimiter, Ident, Literal, TokenStream, TokenTree};

/// A source file.
pub struct Source {
    /// Relative to the crate, with `/`: `src/domain/site.rs`.
    pub path: String,
    pub text: String,
    pub syntax: syn::File,
    /// The module, `["domain", "site"]`; empty for the crate's roots.
    pub module: Vec<String>,
    /// The lines of items under `#[cfg(test)]`.
    pub test_lines: Vec<RangeInclusive<usize>>,
    /// Whether the whole file is a test or a benchmark.
    pub is_test: bool,
    tokens: Vec<TokenTree>,
}

/// A path that names something, such as `crate::domain::Site` or `tonic::Status`.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// `self` and `super` are resolved: what begins with `crate` is ours, anything else is not.
    pub segments: Vec<String>,
    pub line: usize,
}

impl Reference {
    /// Whether the path begins with these segments, given as `std::time::Instant`.
    pub fn starts_with(&self, prefix: &str) -> bool {
        let count = prefix.split("::").count();
        self.segments.len() >= count
            && prefix.split("::").eq(self.segments[..count].iter().map(String::as_str))
    }
}

impl Source {
    /// Reads Rust. Panics when it is none: the file would not compile either.
    pub fn parse(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut test_lines = Vec::new();
        let tokens = without_tests(stream, &mut test_lines);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            syntax,
            module: module_of(path),
            test_lines,
            is_test: !path.starts_with("src/") || path.ends_with("/tests.rs"),
            tokens,
        }
    }

    /// Reads every `.rs` file below the folders `src`, `tests` and `benches` of the crate.
    pub fn read_crate(root: &Path) -> Vec<Self> {
        ["src", "tests", "benches"]
            .iter()
            .flat_map(|folder| walkdir::WalkDir::new(root.join(folder)).sort_by_file_name())
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
            .map(|entry| {
                let path = entry.path().strip_prefix(root).unwrap();
                let path = path.to_string_lossy().replace('\\', "/");
                Self::parse(&path, &fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    /// The top module, `domain` for `src/domain/site.rs`.
    pub fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// Whether the file is one of these modules, given as `classifier::train`, or below one.
    pub fn is_in(&self, modules: &[&str]) -> bool {
        let own = self.module.join("::");
        modules.iter().any(|module| {
            own == *module || own.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
        })
    }

    /// Every path that the code outside of tests names.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        scan(&self.tokens, &self.module, None, &mut found);
        found
    }

    /// Every identifier outside of tests, with whether `!` follows, as in a macro call.
    pub fn idents(&self) -> Vec<(Ident, bool)> {
        let mut found = Vec::new();
        each_level(&self.tokens, &mut |level| {
            for (index, tree) in level.iter().enumerate() {
                if let TokenTree::Ident(ident) = tree {
                    found.push((ident.clone(), is_punct(level.get(index + 1), '!')));
                }
            }
        });
        found
    }

    /// Every literal outside of tests. Documentation counts as literals too and is left out.
    pub fn literals(&self) -> Vec<Literal> {
        let mut found = Vec::new();
        each_level(&self.tokens, &mut |level| {
            let doc = matches!(level.first(), Some(TokenTree::Ident(name)) if name == "doc");
            for tree in level.iter().filter(|_| !doc) {
                if let TokenTree::Literal(literal) = tree {
                    found.push(literal.clone());
                }
            }
        });
        found
    }

    /// The arguments of every macro call outside of tests: name, line, arguments.
    pub fn macro_calls(&self) -> Vec<(String, usize, Vec<TokenTree>)> {
        let mut found = Vec::new();
        each_level(&self.tokens, &mut |level| {
            for window in level.windows(3) {
                if let [TokenTree::Ident(name), bang, TokenTree::Group(arguments)] = window
                    && is_punct(Some(bang), '!')
                {
                    let arguments = arguments.stream().into_iter().collect();
                    found.push((name.to_string(), name.span().start().line, arguments));
                }
            }
        });
        found
    }
}

/// `src/domain/site.rs` is `domain::site`; `src/domain/mod.rs` is `domain`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    match inner {
        "lib" | "main" => Vec::new(),
        _ => inner.split('/').map(str::to_owned).collect(),
    }
}

/// The tokens without items under `#[cfg(test)]`, whose lines are noted.
fn without_tests(
    stream: TokenStream,
    test_lines: &mut Vec<RangeInclusive<usize>>,
) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let test = is_punct(Some(&tree), '#')
            && matches!(trees.peek(), Some(TokenTree::Group(attribute))
                if attribute.stream().to_string().replace(' ', "") == "cfg(test)");
        if test {
            let start = tree.span().start().line;
            let mut end = start;
            for skipped in trees.by_ref() {
                end = skipped.span().end().line;
                let body = matches!(&skipped, TokenTree::Group(group)
                    if group.delimiter() == Delimiter::Brace);
                if body || is_punct(Some(&skipped), ';') {
                    break;
                }
            }
            test_lines.push(start..=end);
            continue;
        }
        if let TokenTree::Group(group) = &tree {
            let inner = without_tests(group.stream(), test_lines).into_iter().collect();
            let mut copy = proc_macro2::Group::new(group.delimiter(), inner);
            copy.set_span(group.span());
            kept.push(TokenTree::Group(copy));
        } else {
            kept.push(tree);
        }
    }
    kept
}

/// Calls `visit` with the tokens of every bracket, from the outside inwards.
fn each_level(level: &[TokenTree], visit: &mut impl FnMut(&[TokenTree])) {
    visit(level);
    for tree in level {
        if let TokenTree::Group(group) = tree {
            each_level(&group.stream().into_iter().collect::<Vec<_>>(), visit);
        }
    }
}

/// Finds the paths of one bracket. `outer` is the path before the braces of a `use` tree.
fn scan(
    level: &[TokenTree],
    module: &[String],
    outer: Option<&[String]>,
    found: &mut Vec<Reference>,
) {
    let mut at = 0;
    while at < level.len() {
        match &level[at] {
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                let mut module = module.to_vec();
                if at >= 2
                    && let (TokenTree::Ident(word), TokenTree::Ident(name)) =
                        (&level[at - 2], &level[at - 1])
                    && word == "mod"
                {
                    module.push(name.to_string());
                }
                scan(&inner, &module, None, found);
                at += 1;
            }
            // `use ::a`, `dyn ::a`: a keyword begins no path.
            TokenTree::Ident(word) if is_punct(level.get(at + 1), ':') && is_keyword(word) => {
                at += 1;
            }
            TokenTree::Ident(first) => {
                let line = first.span().start().line;
                let imported = at > 0 && is_word(level.get(at - 1), "use");
                let mut path = outer.map(<[String]>::to_vec).unwrap_or_default();
                let (length, tree) = read_path(&level[at..], &mut path);
                at += length;
                if let Some(TokenTree::Group(group)) = tree {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    scan(&inner, module, Some(&path), found);
                } else if outer.is_some() || imported || path.len() > 1 {
                    found.push(Reference { segments: resolve(path, module), line });
                }
                // `use a::b as c`: the new name is no path.
                let renamed = is_word(level.get(at), "as");
                at += if renamed && (outer.is_some() || imported) { 2 } else { 0 };
            }
            _ => at += 1,
        }
    }
}

/// Reads `a::b::c` into `path`; answers with the number of tokens and, for `a::{…}`, the braces.
fn read_path<'a>(level: &'a [TokenTree], path: &mut Vec<String>) -> (usize, Option<&'a TokenTree>) {
    let mut at = 0;
    while let Some(TokenTree::Ident(segment)) = level.get(at) {
        path.push(segment.to_string());
        at += 1;
        if !(is_punct(level.get(at), ':') && is_punct(level.get(at + 1), ':')) {
            break;
        }
        match level.get(at + 2) {
            Some(TokenTree::Ident(_)) => at += 2,
            Some(group @ TokenTree::Group(_)) => return (at + 3, Some(group)),
            _ => return (at + 2, None),
        }
    }
    (at, None)
}

/// Makes a path that starts at `crate`, `self` or `super` start at `crate`.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let ours = ["crate", "replyguard", "self", "super"];
    if !ours.contains(&path[0].as_str()) {
        return path;
    }
    let mut base = vec!["crate".to_owned()];
    if ["self", "super"].contains(&path[0].as_str()) {
        base.extend_from_slice(module);
    }
    for segment in path {
        match segment.as_str() {
            "crate" | "replyguard" | "self" => {}
            "super" => drop(base.pop()),
            _ => base.push(segment),
        }
    }
    base
}

/// Keywords that can stand right before a path that starts with `::`.
fn is_keyword(word: &Ident) -> bool {
    ["as", "dyn", "else", "for", "impl", "in", "match", "mut", "return", "use", "where"]
        .iter()
        .any(|keyword| word == keyword)
}

fn is_word(tree: Option<&TokenTree>, wanted: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == wanted)
}

fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}
