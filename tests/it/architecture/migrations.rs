//! Migrations of both databases: the same ones, and none that the program before could not live with.

use std::collections::BTreeSet;
use std::path::Path;

/// The last migration that was made before there were two versions to keep apart.
const LAST_FREE: u32 = 7;

/// Whether a statement of a later migration only adds; else, why not. `made` are the tables that the
/// same migration makes.
fn objection(statement: &str, made: &BTreeSet<String>) -> Option<&'static str> {
    let words: Vec<String> = statement
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_uppercase)
        .collect();
    let has = |sequence: &[&str]| words.windows(sequence.len()).any(|part| part == sequence);
    if ["DROP", "RENAME", "TRUNCATE", "DELETE"].iter().any(|word| has(&[word])) {
        return Some("it takes something away");
    }
    let about = |sequence: &[&str]| {
        let place = words.windows(sequence.len()).position(|part| part == sequence)?;
        words.get(place + sequence.len()).cloned()
    };
    if about(&["ALTER", "TABLE"]).is_some_and(|table| !made.contains(&table)) {
        if has(&["SET", "NOT", "NULL"]) || has(&["TYPE"]) || has(&["ADD", "CONSTRAINT"]) {
            return Some("what the program before writes may be refused");
        }
        if has(&["NOT", "NULL"]) && !has(&["DEFAULT"]) {
            return Some("the program before does not fill the new column");
        }
    }
    let unique = has(&["CREATE", "UNIQUE", "INDEX"]);
    if unique && !about(&["ON"]).is_some_and(|table| made.contains(&table)) {
        return Some("the program before may write the same twice");
    }
    None
}

/// The objections to a migration.
fn objections(sql: &str) -> Vec<String> {
    if sql.trim_start().starts_with("-- Contracts ") {
        return Vec::new();
    }
    let code: String = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let upper = code.to_uppercase();
    let made: BTreeSet<String> = upper
        .split("CREATE TABLE ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next().map(str::to_owned))
        .collect();
    let statements = code.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements
        .filter_map(|statement| {
            objection(statement, &made).map(|why| format!("{why}: {statement}"))
        })
        .collect()
}

#[test]
fn both_databases_have_the_same_and_later_ones_only_add() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let names = |backend: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root.join(backend)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    assert_eq!(sqlite, postgres, "twins by number and name");
    assert!(sqlite.len() >= 8, "{sqlite:?}");
    for (number, name) in (1..).zip(&sqlite) {
        assert!(name.starts_with(&format!("{number:04}_")), "{name}: numbers have no gap");
        for backend in ["sqlite", "postgres"] {
            let sql = std::fs::read_to_string(root.join(backend).join(name)).unwrap();
            let objections = objections(&sql);
            assert!(
                number <= LAST_FREE || objections.is_empty(),
                "{backend}/{name}: {objections:#?}\nExpand first and contract a release later: CONTRIBUTING.md."
            );
        }
    }
}

#[test]
fn what_takes_away_is_noticed() {
    for adding in [
        "CREATE TABLE a (b TEXT NOT NULL); CREATE UNIQUE INDEX a_by_b ON a (b) WHERE b = 'x';",
        "ALTER TABLE sites ADD COLUMN note TEXT; -- not DROP",
        "ALTER TABLE sites ADD COLUMN count BIGINT NOT NULL DEFAULT 0;",
        "CREATE INDEX sites_by_note ON sites (note);",
        "-- Contracts 0009: nobody reads it since.\nDROP TABLE a;",
    ] {
        assert_eq!(objections(adding), [""; 0], "{adding}");
    }
    for taking in [
        "DROP TABLE sites;",
        "ALTER TABLE sites RENAME COLUMN id TO name;",
        "ALTER TABLE sites ALTER COLUMN note SET NOT NULL;",
        "ALTER TABLE sites ALTER COLUMN note TYPE BIGINT;",
        "ALTER TABLE sites ADD COLUMN count BIGINT NOT NULL;",
        "CREATE UNIQUE INDEX sites_by_note ON sites (note);",
        "ALTER TABLE sites ADD CONSTRAINT one CHECK (number > 0);",
    ] {
        assert_eq!(objections(taking).len(), 1, "{taking}");
    }
}
