//! Who may import whom, which crate belongs where, and what stays out of the pure core.

use super::Finding;
use super::source::Source;

/// The arrows of ARCHITECTURE.md: a module and all that it may import besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("text", &["domain"]),
    ("features", &["domain", "text"]),
    ("checks", &["domain", "text", "features"]),
    ("classifier", &["domain", "text", "features"]),
    ("policy", &["domain", "text", "features"]),
    ("turns", &[]),
    ("moderation::ports", &["domain"]),
    ("moderation", &["domain", "text", "features", "checks", "classifier", "policy", "turns"]),
    ("storage", &["domain", "moderation::ports"]),
    ("limits", &["domain", "moderation::ports", "turns"]),
    ("webhooks", &["domain", "moderation::ports"]),
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    ("tls", &[]),
    ("grpc", EDGE),
    ("http", EDGE),
    ("jobs", EDGE),
    (
        "app",
        &[
            "domain",
            "text",
            "features",
            "checks",
            "classifier",
            "policy",
            "moderation",
            "storage",
            "limits",
            "webhooks",
            "config",
            "telemetry",
            "tls",
            "grpc",
            "http",
            "jobs",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "text",
            "features",
            "checks",
            "classifier",
            "policy",
            "moderation",
            "storage",
            "limits",
            "webhooks",
            "config",
            "telemetry",
            "tls",
            "grpc",
            "http",
            "jobs",
            "app",
        ],
    ),
    ("fuzz", &["domain", "text", "features", "classifier", "http", "cli"]),
];

/// What the ways in may import: the use cases and all below, and what they are set up with.
const EDGE: &[&str] = &[
    "domain",
    "text",
    "features",
    "checks",
    "classifier",
    "policy",
    "moderation",
    "config",
    "telemetry",
    "tls",
];

/// The modules without async, I/O, clock, environment and chance.
const PURE: &[&str] = &["domain", "text", "features", "checks", "classifier", "policy"];

/// Crates (with all whose name goes on after `_`) and the only modules that may name them.
const CONFINED: &[(&[&str], &[&str], &str)] = &[
    (&["tonic"], &["grpc"], "tonic only in `grpc`"),
    (&["prost"], &["grpc", "storage::record"], "prost only in `grpc` and `storage::record`"),
    (&["axum"], &["http"], "axum only in `http`"),
    (&["askama"], &["http"], "askama only in `http`"),
    (
        &["argon2"],
        &["moderation::accounts::passwords"],
        "argon2 only in `moderation::accounts::passwords`",
    ),
    (
        &["rusqlite", "sqlx", "tokio_postgres", "deadpool_postgres"],
        &["storage"],
        "SQL only in `storage`",
    ),
    (&["redis"], &["limits"], "redis only in `limits`"),
    (
        &["tokio_rustls", "webpki_roots"],
        &[
            "tls",
            "webhooks",
            "http::client",
            "storage::postgres::connect",
            "telemetry::traces",
            "limits::connection",
        ],
        "TLS only in `tls`, `webhooks`, `http::client`, `storage::postgres::connect`, `telemetry::traces` and `limits::connection`",
    ),
    (&["x509_parser"], &["tls"], "x509-parser only in `tls`"),
    (
        &["quick_xml", "csv", "flate2"],
        &["cli::import"],
        "quick-xml, csv and flate2 only in `cli::import`",
    ),
    (
        &["linfa"],
        &[
            "classifier::train",
            "classifier::calibrate",
            "classifier::evaluate",
            "classifier::csr",
            "classifier::recipe",
            "classifier::site_layer",
        ],
        "linfa only in `classifier::{train, calibrate, evaluate, csr, recipe, site_layer}`",
    ),
    (
        &["opentelemetry", "tracing_opentelemetry"],
        &["telemetry"],
        "OpenTelemetry only in `telemetry`",
    ),
    (&["clap"], &["cli"], "clap only in `cli` and main.rs"),
    (&["indicatif"], &["cli"], "progress bars only in `cli`"),
    (&["anyhow"], &["cli", "jobs"], "anyhow only in `cli`, `jobs` and main.rs"),
];

/// Paths that a pure module does not name.
const IMPURE_PATHS: &[&str] = &[
    "tokio",
    "async_trait",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread::sleep",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "rand::random",
    "getrandom",
];

/// Words that a pure module does not use, whatever path leads to them.
const IMPURE_WORDS: &[&str] = &[
    "async",
    "await",
    "now_utc",
    "now_local",
    "SystemTime",
    "Instant",
    "thread_rng",
    "ThreadRng",
    "OsRng",
    "from_entropy",
    "from_os_rng",
    "new_v4",
    "now_v7",
    "stdin",
    "stdout",
    "stderr",
];

/// Macros that a pure module does not call.
const IMPURE_MACROS: &[&str] = &["println", "print", "eprintln", "eprint"];

/// Words with which a string of SQL begins.
const SQL: &[&str] =
    &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ", "BEGIN "];

/// Imports that no arrow allows.
pub fn arrows(source: &Source) -> Vec<Finding> {
    let Some(top) = source.top().filter(|_| !source.is_test) else { return main_only(source) };
    let own = if source.is_in(&["moderation::ports"]) { "moderation::ports" } else { top };
    let Some((_, allowed)) = ARROWS.iter().find(|(module, _)| *module == own) else {
        let text =
            format!("the module `{own}` has no arrows; add it to {} and ARCHITECTURE.md", file!());
        return vec![Finding::new(source, 1, text)];
    };
    let references = source.references();
    let foreign = references.iter().filter(|reference| {
        reference.segments[0] == "crate"
            && reference.segments.len() > 1
            && !reference.starts_with(&format!("crate::{own}"))
            && !allowed.iter().any(|module| reference.starts_with(&format!("crate::{module}")))
    });
    foreign
        .map(|reference| {
            let path = reference.segments[1..].join("::");
            let text = format!("`{own}` may not import `{path}`; it may import {allowed:?}");
            Finding::new(source, reference.line, text)
        })
        .collect()
}

/// main.rs only parses the command line and runs it.
fn main_only(source: &Source) -> Vec<Finding> {
    if source.path != "src/main.rs" {
        return Vec::new();
    }
    let references = source.references();
    let foreign = references
        .iter()
        .filter(|reference| reference.starts_with("crate") && !reference.starts_with("crate::cli"));
    foreign
        .map(|reference| {
            let text = "main.rs imports `cli` and nothing else of ours".to_owned();
            Finding::new(source, reference.line, text)
        })
        .collect()
}

/// Crates and SQL outside of where they belong.
pub fn confinement(source: &Source) -> Vec<Finding> {
    if source.is_test {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for reference in source.references() {
        for (crates, modules, sentence) in CONFINED {
            let root = &reference.segments[0];
            let named = crates.iter().any(|name| {
                root.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            });
            let main = source.path == "src/main.rs" && sentence.contains("main.rs");
            if named && !source.is_in(modules) && !main {
                findings.push(Finding::new(source, reference.line, (*sentence).to_owned()));
            }
        }
    }
    if !source.is_in(&["storage"]) {
        for literal in source.literals() {
            let text = literal.to_string();
            let text = text.trim_start_matches(['r', 'b', '#', '"', ' ', '\n']);
            if SQL.iter().any(|word| text.starts_with(word)) {
                let line = literal.span().start().line;
                findings.push(Finding::new(source, line, "SQL only in `storage`".to_owned()));
            }
        }
    }
    findings
}

/// Async, I/O, clocks, environment and chance in the core.
pub fn purity(source: &Source) -> Vec<Finding> {
    if source.is_test || !source.is_in(PURE) {
        return Vec::new();
    }
    let sentence = |what: &str| {
        format!(
            "`{what}`: no async, I/O, clock, environment or hidden chance from `domain` to `policy`"
        )
    };
    let mut findings = Vec::new();
    for reference in source.references() {
        if let Some(path) = IMPURE_PATHS.iter().find(|path| reference.starts_with(path)) {
            findings.push(Finding::new(source, reference.line, sentence(path)));
        }
    }
    for (ident, call) in source.idents() {
        let macros = IMPURE_MACROS.iter().filter(|_| call);
        if let Some(word) = IMPURE_WORDS.iter().chain(macros).find(|word| ident == **word) {
            findings.push(Finding::new(source, ident.span().start().line, sentence(word)));
        }
    }
    findings
}
