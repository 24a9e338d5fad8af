//! The proto contract keeps its rules, and the rules can tell when it does not.
//!
//! `make proto-lint` runs these and then buf itself, which is not on every machine.

mod rules;
mod walk;

use std::fs;
use std::path::Path;

use rules::{Finding, lint};

/// Lints a contract of one file at its proper place.
fn lint_source(source: &str) -> Vec<Finding> {
    lint_at("acme/v1/acme_service.proto", source)
}

fn lint_at(path: &str, source: &str) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, source).unwrap();
    lint(&walk::compile(folder.path()).unwrap())
}

fn listing(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// A contract without fault; the tests below spoil it in one place each.
const GOOD: &str = r#"syntax = "proto3";

package acme.v1;

import "google/protobuf/field_mask.proto";
import "google/protobuf/timestamp.proto";

// Keeps things.
service AcmeService {
  // Lists things.
  rpc ListThings(ListThingsRequest) returns (ListThingsResponse);
  // Changes a thing.
  rpc UpdateThing(UpdateThingRequest) returns (UpdateThingResponse);
}

// A thing.
message Thing {
  // The name.
  string name = 1;
  // When it was made.
  google.protobuf.Timestamp create_time = 2;
  // How it stands.
  State state = 3;
  // What it is called elsewhere.
  map<string, string> names = 4;
  // How many parts it has, if it has parts.
  optional int32 part_count = 5;
  // What it is.
  oneof kind {
    // A colour.
    string colour = 6;
    // A size.
    int64 size_bytes = 7;
  }
}

// How a thing stands.
enum State {
  // Never sent.
  STATE_UNSPECIFIED = 0;
  // Upright.
  STATE_UPRIGHT = 1;
}

// Request of `ListThings`.
message ListThingsRequest {
  // How many.
  int32 page_size = 1;
  // Where to go on.
  string page_token = 2;
}

// Response of `ListThings`.
message ListThingsResponse {
  // The things.
  repeated Thing things = 1;
  // Where to go on.
  string next_page_token = 2;
}

// Request of `UpdateThing`.
message UpdateThingRequest {
  // The thing.
  Thing thing = 1;
  // What to change.
  google.protobuf.FieldMask update_mask = 2;
}

// Response of `UpdateThing`.
message UpdateThingResponse {
  // The thing.
  Thing thing = 1;
}
"#;

#[test]
fn the_contract_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let contract = walk::compile(&root).unwrap();
    assert!(contract.files().count() > 0, "no .proto file below {}", root.display());
    let findings = lint(&contract);
    assert!(findings.is_empty(), "\n{}", listing(&findings));
}

#[test]
fn a_good_contract_has_no_findings() {
    let findings = lint_source(GOOD);
    assert!(findings.is_empty(), "\n{}", listing(&findings));
}

#[test]
fn every_rule_finds_its_fault() {
    // What to replace in the good contract, by what, and the rule that must object.
    let faults = [
        ("  // Upright.\n", "", "COMMENTS"),
        ("  // A colour.\n", "", "COMMENTS"),
        ("  // What it is.\n", "", "COMMENTS"),
        ("// Keeps things.\n", "", "COMMENTS"),
        ("// A thing.\n", "", "COMMENTS"),
        ("// How a thing stands.\n", "", "COMMENTS"),
        ("  // Lists things.\n", "", "COMMENTS"),
        ("// A thing.\n", "// A thing\n", "COMMENTS"),
        ("// Lists things.", "// This lists things.", "AIP-192"),
        ("// Lists things.", "// List things.", "AIP-192"),
        ("message Thing {", "message Thing { // Odd.\n uint32 weight = 9;", "AIP-141"),
        ("part_count", "is_whole", "AIP-140"),
        ("part_count", "parts_of_thing", "AIP-140"),
        ("part_count", "num_parts", "AIP-141"),
        ("string colour", "string colour_count", "AIP-141"),
        ("string colour", "string colour_url", "AIP-140"),
        ("string colour", "string colour_time", "AIP-142"),
        ("create_time", "created", "AIP-142"),
        ("string colour", "string permalink", "WORDS"),
        ("string colour", "string Colour", "FIELD_LOWER_SNAKE_CASE"),
        ("oneof kind", "oneof Kind", "ONEOF_LOWER_SNAKE_CASE"),
        ("string name =", "int64 name =", "AIP-148"),
        ("STATE_UPRIGHT", "UPRIGHT", "ENUM_VALUE_PREFIX"),
        ("STATE_UPRIGHT", "STATE_Upright", "ENUM_VALUE_UPPER_SNAKE_CASE"),
        ("STATE_UNSPECIFIED", "STATE_NONE", "ENUM_ZERO_VALUE_SUFFIX"),
        ("enum State {", "enum State { option allow_alias = true;", "ENUM_NO_ALLOW_ALIAS"),
        ("State", "state_kind", "ENUM_PASCAL_CASE"),
        ("Thing thing", "thing_kind thing", "MESSAGE_PASCAL_CASE"),
        ("AcmeService", "Acme", "SERVICE_SUFFIX"),
        ("AcmeService", "acmeService", "SERVICE_PASCAL_CASE"),
        ("rpc ListThings(", "rpc listThings(", "RPC_PASCAL_CASE"),
        ("rpc ListThings(", "rpc List(", "AIP-136"),
        ("(ListThingsRequest)", "(stream ListThingsRequest)", "UNARY_RPC"),
        ("(ListThingsRequest)", "(UpdateThingRequest)", "RPC_REQUEST_STANDARD_NAME"),
        ("(ListThingsRequest)", "(UpdateThingRequest)", "RPC_REQUEST_RESPONSE_UNIQUE"),
        ("returns (ListThingsResponse)", "returns (Thing)", "RPC_RESPONSE_STANDARD_NAME"),
        ("  // How many.\n  int32 page_size = 1;\n", "", "AIP-158"),
        ("next_page_token", "token", "AIP-158"),
        ("update_mask", "mask", "AIP-134"),
        ("import ", "import \"google/protobuf/duration.proto\";\nimport ", "IMPORT_USED"),
        ("import \"google/protobuf/t", "import public \"google/protobuf/t", "IMPORT_NO_PUBLIC"),
        ("acme.v1", "acme", "PACKAGE_VERSION_SUFFIX"),
        ("acme.v1", "acme.v2", "PACKAGE_DIRECTORY_MATCH"),
        ("acme.v1", "Acme.v1", "PACKAGE_LOWER_SNAKE_CASE"),
        ("package acme.v1;\n", "", "PACKAGE_DEFINED"),
        ("// A thing.\n", "// More.\nservice OtherService {}\n// A thing.\n", "ONE_SERVICE"),
    ];
    for (good, bad, rule) in faults {
        assert!(GOOD.contains(good), "nothing to spoil: {good}");
        let source = match rule {
            // A type is renamed at all its places, anything else at the first only.
            "ENUM_PASCAL_CASE" => GOOD
                .replace("enum State", "enum state_kind")
                .replace("State state =", "state_kind state ="),
            "MESSAGE_PASCAL_CASE" => GOOD
                .replace("message Thing {", "message thing_kind {")
                .replace("Thing thing", "thing_kind thing"),
            _ => GOOD.replacen(good, bad, 1),
        };
        let findings = lint_source(&source);
        assert!(
            findings.iter().any(|finding| finding.rule == rule),
            "{rule} did not object to `{bad}`:\n{}",
            listing(&findings)
        );
    }
}

#[test]
fn enums_start_at_zero_in_proto2_too() {
    let source = GOOD
        .replace("proto3", "proto2")
        .replace("STATE_UNSPECIFIED = 0", "STATE_UNSPECIFIED = 2")
        .replace("  string name", "  required string name")
        .replace("  google.protobuf", "  optional google.protobuf");
    let source = ["State state", "int32 page_size", "string page_token", "string next", "Thing t"]
        .iter()
        .fold(source, |text, field| {
            text.replace(&format!("  {field}"), &format!("  optional {field}"))
        });
    let rules: Vec<_> = lint_source(&source).iter().map(|finding| finding.rule).collect();
    for rule in ["SYNTAX_SPECIFIED", "ENUM_FIRST_VALUE_ZERO", "FIELD_NOT_REQUIRED"] {
        assert!(rules.contains(&rule), "{rule} is not in {rules:?}");
    }
}

#[test]
fn file_names_are_in_lower_case() {
    let findings = lint_at("acme/v1/AcmeService.proto", GOOD);
    assert_eq!(findings.len(), 1, "\n{}", listing(&findings));
    assert_eq!(findings[0].rule, "FILE_LOWER_SNAKE_CASE");
}

#[test]
fn a_finding_names_file_line_and_rule() {
    let findings = lint_source(&GOOD.replacen("STATE_UPRIGHT", "UPRIGHT", 1));
    assert_eq!(
        listing(&findings),
        "acme/v1/acme_service.proto:42: State.UPRIGHT: values of this enum start with `STATE_` \
         (ENUM_VALUE_PREFIX)\n"
    );
}
