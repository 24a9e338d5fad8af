//! Sizes, documentation, left-overs, and what may not reach a log.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::Finding;
use super::source::Source;

/// TigerBeetle's rule: a function fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A file that outgrows this holds two things.
const FILE_LINES_MAX: usize = 450;

/// Names of what a log line may not carry: the words of a comment and what identifies a person.
const PERSONAL: &[&str] = &[
    "text",
    "body",
    "author",
    "email",
    "ip",
    "url",
    "user_agent",
    "referrer",
    "comment_text",
    "public_text",
    "masked_email",
    "reporter_name",
    "note",
    "secret",
    "password",
    "api_key",
];

/// Macros that write to a log.
const LOGGING: &[&str] = &[
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
];

/// Functions and files that are too long, tests not counted.
pub fn sizes(source: &Source) -> Vec<Finding> {
    if source.is_test {
        return Vec::new();
    }
    let mut lengths = Lengths { source, findings: Vec::new() };
    lengths.visit_file(&source.syntax);
    let mut findings = lengths.findings;
    let tests: usize = source.test_lines.iter().map(|lines| lines.end() - lines.start() + 1).sum();
    let count = source.text.lines().count() - tests;
    if count > FILE_LINES_MAX {
        let text = format!("{count} lines; a file has at most {FILE_LINES_MAX} outside of tests");
        findings.push(Finding::new(source, 1, text));
    }
    findings
}

struct Lengths<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl Lengths<'_> {
    /// From `fn` to the closing brace: attributes and documentation do not count.
    fn measure(&mut self, signature: &syn::Signature, end: usize) {
        let start = signature.fn_token.span().start().line;
        let count = end - start + 1;
        let test = self.source.test_lines.iter().any(|lines| lines.contains(&start));
        if count > FUNCTION_LINES_MAX && !test {
            let text = format!(
                "`{}` has {count} lines; a function has at most {FUNCTION_LINES_MAX} outside of tests",
                signature.ident
            );
            self.findings.push(Finding::new(self.source, start, text));
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, item.block.span().end().line);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, item.block.span().end().line);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.measure(&item.sig, item.span().end().line);
        syn::visit::visit_trait_item_fn(self, item);
    }
}

/// Every file starts with what it is for.
pub fn module_docs(source: &Source) -> Vec<Finding> {
    let documented = source.syntax.attrs.iter().any(|attribute| attribute.path().is_ident("doc"));
    if documented {
        return Vec::new();
    }
    vec![Finding::new(source, 1, "a module starts with `//!`: what it is for".to_owned())]
}

/// Left-overs and `unsafe`.
pub fn left_overs(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (ident, call) in source.idents() {
        let name = ident.to_string();
        let left_over = call && ["todo", "unimplemented", "dbg"].contains(&name.as_str());
        if left_over || name == "unsafe" {
            let text =
                format!("`{name}` has no place here: no stubs, no left-overs, no unsafe code");
            findings.push(Finding::new(source, ident.span().start().line, text));
        }
    }
    findings
}

/// Log macros that are given personal data. A guard against slips: what a value holds is checked
/// by the test that searches the logs for marked addresses.
pub fn logs(source: &Source) -> Vec<Finding> {
    if source.is_test {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (name, line, arguments) in source.macro_calls() {
        if !LOGGING.contains(&name.as_str()) {
            continue;
        }
        let personal = arguments.iter().enumerate().find_map(|(index, tree)| match tree {
            TokenTree::Ident(ident) if is_value(&arguments, index) => {
                PERSONAL.iter().find(|word| ident == **word)
            }
            TokenTree::Literal(literal) => inline(&literal.to_string()),
            _ => None,
        });
        if let Some(word) = personal {
            let text = format!(
                "`{name}!` logs `{word}`: never a comment's text, a name, an address or a key"
            );
            findings.push(Finding::new(source, line, text));
        }
    }
    findings
}

/// Whether the identifier stands for its own value: not a path's or a method's beginning.
fn is_value(arguments: &[TokenTree], index: usize) -> bool {
    !matches!(arguments.get(index + 1), Some(TokenTree::Punct(punct)) if ":.(".contains(punct.as_char()))
        && !matches!(arguments.get(index + 1), Some(TokenTree::Group(_)))
}

/// A personal value inside a format string, such as `{email}` or `{ip:?}`.
fn inline(literal: &str) -> Option<&'static &'static str> {
    PERSONAL.iter().find(|word| {
        literal.contains(&format!("{{{word}}}")) || literal.contains(&format!("{{{word}:"))
    })
}

/// Where a source file embeds a file whose name has this ending, as `path:line`.
pub fn embedded(source: &Source, ending: &str) -> Vec<String> {
    source
        .macro_calls()
        .into_iter()
        .filter(|(name, _, arguments)| {
            let arguments: TokenStream = arguments.iter().cloned().collect();
            name == "include_bytes" && arguments.to_string().contains(ending)
        })
        .map(|(_, line, _)| format!("{}:{line}", source.path))
        .collect()
}
