//! The rules of ARCHITECTURE.md as tests, and tests that the rules notice when they are broken.

mod habits;
mod imports;
mod migrations;
mod source;

use std::fmt;
use std::path::Path;

use source::Source;

/// A broken rule: where, and the sentence of the rule.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    fn new(source: &Source, line: usize, text: String) -> Self {
        Self { path: source.path.clone(), line, text }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

type Rule = fn(&Source) -> Vec<Finding>;

/// Holds a rule against every file of the crate.
fn hold_everywhere(rule: Rule) {
    let sources = Source::read_crate(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(sources.len() > 10, "only {} files found", sources.len());
    let findings: Vec<String> =
        sources.iter().flat_map(rule).map(|finding| finding.to_string()).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// How often a rule objects to a file.
fn objections(rule: Rule, path: &str, text: &str) -> usize {
    rule(&Source::parse(path, text)).len()
}

#[test]
fn imports_follow_the_arrows() {
    hold_everywhere(imports::arrows);
}

#[test]
fn crates_stay_where_they_belong() {
    hold_everywhere(imports::confinement);
}

#[test]
fn the_core_is_pure() {
    hold_everywhere(imports::purity);
}

#[test]
fn functions_and_files_are_short() {
    hold_everywhere(habits::sizes);
}

#[test]
fn every_module_says_what_it_is_for() {
    hold_everywhere(habits::module_docs);
}

#[test]
fn nothing_is_left_over() {
    hold_everywhere(habits::left_overs);
}

#[test]
fn logs_name_no_personal_data() {
    hold_everywhere(habits::logs);
}

/// Bytes of the bundled weights: every clone and every binary carries them.
const WEIGHTS_BYTES_MAX: u64 = 8 << 20;

#[test]
fn the_weights_are_embedded_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let embedded: Vec<String> = Source::read_crate(root)
        .iter()
        .filter(|source| !source.is_test)
        .flat_map(|source| habits::embedded(source, ".rgmodel"))
        .collect();
    assert_eq!(embedded.len(), 1, "the bundled model is embedded at one place: {embedded:?}");
    assert!(embedded[0].starts_with("src/classifier"), "the classifier embeds it: {embedded:?}");
    let weights = root.join("model/base.rgmodel");
    let size = std::fs::metadata(&weights).unwrap_or_else(|error| panic!("{weights:?}: {error}"));
    assert!(size.len() <= WEIGHTS_BYTES_MAX, "{} bytes of weights", size.len());
}

#[test]
fn arrows_are_noticed_when_they_turn_round() {
    for (path, text) in [
        ("src/domain/site.rs", "use crate::text::normalize;"),
        ("src/domain/site.rs", "use crate::{domain::Site, text};"),
        ("src/domain/site.rs", "use super::super::policy::Decision;"),
        ("src/domain/site.rs", "fn f() -> crate::app::App { loop {} }"),
        ("src/domain/site.rs", "fn f() { println!(\"{}\", crate::config::NAME); }"),
        ("src/domain/mod.rs", "mod inner { use super::super::text::links; }"),
        ("src/policy.rs", "use crate::classifier::Model;"),
        ("src/checks/links.rs", "use crate::policy::decide;"),
        ("src/moderation/ports.rs", "use crate::policy::Outcome;"),
        ("src/moderation/ports.rs", "use super::check::CheckComment;"),
        ("src/moderation/check.rs", "use crate::storage::Sqlite;"),
        ("src/storage/sqlite.rs", "use crate::moderation::check::CheckComment;"),
        ("src/storage/sqlite.rs", "use crate::moderation::{check, ports::Store};"),
        ("src/storage/sqlite.rs", "use crate::limits::Memory;"),
        ("src/limits/redis.rs", "use crate::config::Limits;"),
        ("src/grpc/convert.rs", "use crate::http::ops;"),
        ("src/http/ops.rs", "use crate::storage::Sqlite;"),
        ("src/app.rs", "use crate::cli::Arguments;"),
        ("src/main.rs", "use replyguard::storage::Sqlite;"),
        ("src/novelty.rs", "//! A module nobody drew an arrow for."),
    ] {
        assert_eq!(objections(imports::arrows, path, text), 1, "{path}: {text}");
    }
}

#[test]
fn arrows_may_skip_a_step() {
    for (path, text) in [
        ("src/domain/site.rs", "use super::SiteId; use crate::domain::Label; use self::inner::X;"),
        ("src/text/mod.rs", "use crate::domain::{BlindSubmission, MASK as MARK};"),
        ("src/storage/sqlite.rs", "use crate::moderation::ports::{Store, StoreError};"),
        ("src/moderation/ports.rs", "use crate::domain::Site; use super::ports::Store;"),
        ("src/grpc/convert.rs", "use crate::domain::Site; use crate::moderation::check;"),
        ("src/cli/migrate.rs", "use crate::storage::Sqlite; use crate::domain::Site;"),
        ("src/main.rs", "use replyguard::cli; fn main() { cli::run() }"),
        ("src/domain/site.rs", "#[cfg(test)] mod tests { use crate::text::normalize; }"),
        ("tests/it/store.rs", "use replyguard::storage::Sqlite;"),
    ] {
        assert_eq!(objections(imports::arrows, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn strayed_crates_are_noticed() {
    for (path, text) in [
        ("src/moderation/check.rs", "use tonic::Status;"),
        ("src/moderation/check.rs", "use ::tonic_health::server;"),
        ("src/moderation/check.rs", "#[derive(prost::Message)] struct A {}"),
        ("src/app.rs", "use {std::fmt, rusqlite::Connection};"),
        ("src/app.rs", "use redis;"),
        ("src/storage/sqlite.rs", "fn f(c: redis::Client) {}"),
        ("src/classifier/model.rs", "use linfa::traits::Fit;"),
        ("src/classifier/model.rs", "use linfa_logistic as learner;"),
        ("src/config.rs", "#[derive(clap::Args)] struct A {}"),
        ("src/grpc/mod.rs", "use axum::Router;"),
        ("src/app.rs", "#[derive(askama::Template)] struct A {}"),
        ("src/http/console/log_in.rs", "use argon2::Argon2;"),
        ("src/jobs.rs", "use indicatif::ProgressBar;"),
        ("src/storage/sqlite.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        ("src/http/ops.rs", "const Q: &str = \"SELECT 1 FROM sites\";"),
        ("src/http/ops.rs", "const Q: &str = r#\"\n  INSERT INTO sites\"#;"),
    ] {
        assert_eq!(objections(imports::confinement, path, text), 1, "{path}: {text}");
    }
}

#[test]
fn crates_at_home_are_welcome() {
    for (path, text) in [
        ("src/grpc/convert.rs", "use tonic::Status; use prost_types::Timestamp;"),
        ("src/storage/sqlite.rs", "use rusqlite::Connection; const Q: &str = \"SELECT 1\";"),
        ("src/limits/redis.rs", "use redis::aio::ConnectionManager;"),
        ("src/limits/mod.rs", "mod redis; pub use redis::RedisLimiter;"),
        ("src/classifier/train/solver.rs", "use linfa::ParamGuard;"),
        ("src/cli/serve.rs", "use clap::Args; use anyhow::Context; use indicatif::ProgressBar;"),
        ("src/main.rs", "use clap::Parser; fn main() -> anyhow::Result<()> { Ok(()) }"),
        ("src/app.rs", "/// SELECT is a word too.\nconst A: &str = \"Selected\";"),
        ("src/text/mod.rs", "fn f(a: A) -> bool { a.redis && b::tonic() }"),
        ("tests/it/store.rs", "use tonic::Status;"),
    ] {
        assert_eq!(objections(imports::confinement, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn impurity_is_noticed() {
    for text in [
        "async fn f() {}",
        "use tokio::sync::mpsc;",
        "fn f() { std::fs::read(\"a\"); }",
        "use std::env;",
        "use std::{fmt, env::var};",
        "fn f(now: OffsetDateTime) { g(OffsetDateTime::now_utc()); }",
        "fn f() { let r = StdRng::from_entropy(); }",
        "fn f() -> u8 { rand::random() }",
        "fn f() { println!(\"loud\"); }",
        "use std::net::TcpStream;",
    ] {
        assert_eq!(objections(imports::purity, "src/text/links.rs", text), 1, "{text}");
        assert_eq!(objections(imports::purity, "src/storage/sqlite.rs", text), 0, "{text}");
    }
    let clock = "use std::time::Instant;";
    assert!(objections(imports::purity, "src/policy.rs", clock) > 0);
    let pure = "mod print; use std::net::IpAddr; use std::time::Duration; use rand::SeedableRng;";
    assert_eq!(objections(imports::purity, "src/policy.rs", pure), 0);
    let test = "#[cfg(test)] mod tests { use std::fs; }";
    assert_eq!(objections(imports::purity, "src/policy.rs", test), 0);
}

#[test]
fn length_is_noticed() {
    let function = |count: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(count - 2));
    let at = |text: &str| objections(habits::sizes, "src/app.rs", text);
    assert_eq!(at(&function(70)), 0);
    assert_eq!(at(&function(71)), 1);
    assert_eq!(at(&format!("impl A {{\n{}}}\n", function(71))), 1);
    assert_eq!(at(&format!("trait A {{\n{}}}\n", function(71))), 1);
    assert_eq!(at(&format!("/// Long.\n{}{}", "/// Longer.\n".repeat(80), function(70))), 0);
    assert_eq!(at(&format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(500))), 0);
    assert_eq!(at(&"const A: u8 = 0;\n".repeat(450)), 0);
    assert_eq!(at(&"const A: u8 = 0;\n".repeat(451)), 1);
    let text = format!("{}#[cfg(test)]\nmod tests {{\n}}\n", "const A: u8 = 0;\n".repeat(450));
    assert_eq!(at(&text), 0);
}

#[test]
fn missing_docs_and_left_overs_are_noticed() {
    assert_eq!(objections(habits::module_docs, "src/app.rs", "/// No.\nstruct A;"), 1);
    assert_eq!(objections(habits::module_docs, "src/app.rs", "//! Yes.\nstruct A;"), 0);
    for text in [
        "fn f() { todo!() }",
        "fn f() { dbg!(1); }",
        "fn f() { unimplemented!() }",
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
    ] {
        assert_eq!(objections(habits::left_overs, "src/app.rs", text), 1, "{text}");
    }
    let innocent = "//! todo!\nfn todo() { g(\"dbg!\"); }";
    assert_eq!(objections(habits::left_overs, "src/app.rs", innocent), 0);
}

#[test]
fn embedded_files_are_noticed() {
    let text = "//! include_bytes!(\"x.rgmodel\")\nconst A: &[u8] = include_bytes!(\"a.rgmodel\");";
    let found = habits::embedded(&Source::parse("src/classifier/mod.rs", text), ".rgmodel");
    assert_eq!(found, ["src/classifier/mod.rs:2"]);
}

#[test]
fn personal_data_in_logs_is_noticed() {
    for text in [
        "fn f() { tracing::info!(email, \"checked\"); }",
        "fn f() { warn!(site.id = %id, %ip, \"slow\"); }",
        "fn f() { info!(comment = comment.text, \"checked\"); }",
        "fn f() { error!(\"bad address {email}\"); }",
        "fn f() { error!(\"bad address {ip:?}\"); }",
        "fn f() { let s = info_span!(\"check\", author = x); }",
    ] {
        assert_eq!(objections(habits::logs, "src/grpc/mod.rs", text), 1, "{text}");
    }
    for text in [
        "fn f() { info!(site.id = %id, verdict = \"hold\", \"checked\"); }",
        "fn f() { info!(duration_ms = ip::parse(a), \"e-mail and text are words\"); }",
        "fn f() { format!(\"{email}\"); }",
    ] {
        assert_eq!(objections(habits::logs, "src/grpc/mod.rs", text), 0, "{text}");
    }
}
