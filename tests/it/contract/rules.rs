//! The rules of the contract. Names in capitals are buf's (categories STANDARD and COMMENTS) or
//! those of an API improvement proposal (google.aip.dev).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto};
use prost_types::{FileDescriptorProto, MethodDescriptorProto};

use super::walk::{Contract, Element, Node};

/// RPCs that stream, with the reason. Everything else is unary (UNARY_RPC), because a unary call
/// can be retried, cached and balanced.
const STREAMING_RPCS: [(&str, &str); 9] = [
    ("CommentService.BatchCheckComments", "imports send tens of thousands of comments at once"),
    ("ModelService.ImportExamples", "a ledger has hundreds of thousands of examples"),
    ("ModelService.ExportExamples", "likewise"),
    ("CommentService.ExportAuthor", "an author may have written for years"),
    ("SiteService.ExportSite", "a site has millions of comments"),
    ("CommentService.WatchDecisions", "a CMS hears of decisions at once"),
    ("ReviewService.WatchQueue", "so does a desk of what waits"),
    ("ReviewService.BatchDecideComments", "tens of thousands of comments show how far they are"),
    ("ReviewService.UndoDecision", "likewise"),
];

/// Fields that carry a preposition all the same (AIP-140), with the reason.
const PREPOSITIONS_ALLOWED: [(&str, &str); 10] = [
    ("ListCommentsRequest.order_by", "the name of AIP-132"),
    ("ListQueueEntriesRequest.order_by", "the name of AIP-132"),
    ("PreviewBudgetRequest.hold_one_in", "as in SitePolicy"),
    ("PreviewBudgetRequest.reject_one_in", "as in SitePolicy"),
    ("PreviewBudgetResponse.hold_one_in", "as in SitePolicy"),
    ("PreviewBudgetResponse.reject_one_in", "as in SitePolicy"),
    ("SitePolicy.hold_abuse_one_in", "a rate as one says it: one in so many"),
    ("SitePolicy.hold_one_in", "a rate as one says it: one in so many"),
    ("SitePolicy.reject_one_in", "a rate as one says it: one in so many"),
    ("SitePolicy.close_after_days", "WordPress's own option: close_comments_days_old"),
];

/// The prepositions of AIP-140.
const PREPOSITIONS: [&str; 21] = [
    "after", "at", "before", "between", "but", "by", "for", "from", "in", "into", "of", "on",
    "over", "since", "to", "toward", "under", "upon", "with", "within", "without",
];

/// Words for which the project has another one, in field, message and RPC names.
const OTHER_WORDS: [(&str, &str); 12] = [
    ("blog", "site"),
    ("tenant", "site"),
    ("post", "comment or page"),
    ("permalink", "page_uri"),
    ("commenter", "author"),
    ("settings", "policy"),
    ("spamicity", "score"),
    ("cutoff", "threshold"),
    ("blacklist", "blocklist"),
    ("whitelist", "allowlist"),
    ("inbox", "review queue"),
    ("override", "decision"),
];

/// A broken rule.
#[derive(Debug)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub rule: &'static str,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} ({})", self.file, self.line, self.text, self.rule)
    }
}

/// Collects the findings about one element.
struct Report<'a> {
    element: &'a Element<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    /// Notes that `rule` is broken unless `holds`.
    fn expect(&mut self, holds: bool, rule: &'static str, text: &str) {
        if !holds {
            self.findings.push(Finding {
                file: self.element.file.name().to_owned(),
                line: self.element.line,
                rule,
                text: format!("{}: {text}", self.element.name),
            });
        }
    }
}

/// Everything that is wrong with a contract, in the order of its files.
pub fn lint(contract: &Contract) -> Vec<Finding> {
    let mut findings = Vec::new();
    let elements = contract.elements();
    for element in &elements {
        let mut report = Report { element, findings: &mut findings };
        comment(&mut report, element);
        match element.node {
            Node::File => file(&mut report, element.file),
            Node::Message(message) => {
                let good = is_pascal(message.name());
                report.expect(good, "MESSAGE_PASCAL_CASE", "message names are PascalCase");
                word(&mut report, &snake(message.name()));
            }
            Node::Field(item) => field(&mut report, element, item),
            Node::Oneof(item) => {
                let good = is_snake(item.name());
                report.expect(good, "ONEOF_LOWER_SNAKE_CASE", "oneof names are lower_snake_case");
            }
            Node::Enum(item) => enumeration(&mut report, item),
            Node::Value(item, value) => enum_value(&mut report, item, value),
            Node::Service(item) => {
                let good = is_pascal(item.name());
                report.expect(good, "SERVICE_PASCAL_CASE", "service names are PascalCase");
                let good = item.name().ends_with("Service");
                report.expect(good, "SERVICE_SUFFIX", "service names end in Service");
            }
            Node::Rpc(item) => rpc(&mut report, element, item),
        }
    }
    imports(contract, &elements, &mut findings);
    types_of_rpcs(&elements, &mut findings);
    standard_methods(&elements, &mut findings);
    findings
}

/// COMMENTS and AIP-192: every element has a comment of whole sentences.
fn comment(report: &mut Report<'_>, element: &Element<'_>) {
    if matches!(element.node, Node::File) {
        return;
    }
    let text = &element.comment;
    report.expect(!text.is_empty(), "COMMENTS", "has no comment");
    if text.is_empty() {
        return;
    }
    report.expect(text.ends_with('.'), "COMMENTS", "the comment ends without a full stop");
    if let Node::Rpc(_) = element.node {
        let verb = text.split_whitespace().next().unwrap_or_default();
        report.expect(
            verb.ends_with('s') && verb.starts_with(char::is_uppercase) && verb != "This",
            "AIP-192",
            "the comment starts with what the RPC does: a verb without subject, such as `Lists`",
        );
    }
}

fn file(report: &mut Report<'_>, file: &FileDescriptorProto) {
    let package = file.package();
    let directory = Path::new(file.name()).parent().unwrap_or(Path::new("")).to_string_lossy();
    let stem = Path::new(file.name()).file_stem().unwrap_or_default().to_string_lossy();
    report.expect(file.syntax() == "proto3", "SYNTAX_SPECIFIED", "the syntax is proto3");
    report.expect(!package.is_empty(), "PACKAGE_DEFINED", "the file has a package");
    report.expect(
        directory == package.replace('.', "/"),
        "PACKAGE_DIRECTORY_MATCH",
        "the directory follows the package",
    );
    report.expect(
        package.split('.').all(is_snake),
        "PACKAGE_LOWER_SNAKE_CASE",
        "package names are lower_snake_case",
    );
    report.expect(
        package.split('.').next_back().is_some_and(is_version),
        "PACKAGE_VERSION_SUFFIX",
        "the package ends in a major version, such as `v1` or `v1alpha1`",
    );
    report.expect(
        is_snake(&stem),
        "FILE_LOWER_SNAKE_CASE",
        "file names are lower_snake_case.proto",
    );
    report.expect(file.service.len() <= 1, "ONE_SERVICE", "a file has at most one service");
    report.expect(file.public_dependency.is_empty(), "IMPORT_NO_PUBLIC", "no public imports");
    report.expect(file.weak_dependency.is_empty(), "IMPORT_NO_WEAK", "no weak imports");
}

fn field(report: &mut Report<'_>, element: &Element<'_>, field: &FieldDescriptorProto) {
    let name = field.name();
    let words: Vec<&str> = name.split('_').collect();
    report.expect(is_snake(name), "FIELD_LOWER_SNAKE_CASE", "field names are lower_snake_case");
    report.expect(
        field.label() != Label::Required,
        "FIELD_NOT_REQUIRED",
        "no field is `required` on the wire",
    );
    let unsigned = [Type::Uint32, Type::Uint64, Type::Fixed32, Type::Fixed64];
    report.expect(!unsigned.contains(&field.r#type()), "AIP-141", "numbers are signed");
    report.expect(words[0] != "is", "AIP-140", "no prefix `is_`: `closed`, not `is_closed`");
    report.expect(
        !words.iter().any(|word| PREPOSITIONS.contains(word))
            || PREPOSITIONS_ALLOWED.iter().any(|(allowed, _)| *allowed == element.name),
        "AIP-140",
        "no prepositions in field names: `error_reason`, not `reason_for_error`",
    );
    let timestamp = field.type_name() == ".google.protobuf.Timestamp";
    report.expect(
        timestamp == (words.last() == Some(&"time")),
        "AIP-142",
        "a Timestamp ends in `_time`, and nothing else does",
    );
    let counts = [Type::Int32, Type::Int64].contains(&field.r#type());
    report.expect(
        counts || words.last() != Some(&"count"),
        "AIP-141",
        "what ends in `_count` is a whole number",
    );
    report.expect(
        !["num", "count", "number"].contains(&words[0]) || words.len() == 1,
        "AIP-141",
        "counts are called `link_count`, not `num_links`",
    );
    report.expect(
        words.len() == 1 || words.last() != Some(&"url"),
        "AIP-140",
        "addresses of pages end in `_uri`",
    );
    let text = field.r#type() == Type::String && field.label() != Label::Repeated;
    for known in ["name", "parent", "request_id", "page_token", "next_page_token", "etag"] {
        report.expect(text || name != known, "AIP-148", "this standard field is a string");
    }
    word(report, name);
}

fn enumeration(report: &mut Report<'_>, item: &EnumDescriptorProto) {
    let alias = item.options.as_ref().is_some_and(|options| options.allow_alias());
    report.expect(!alias, "ENUM_NO_ALLOW_ALIAS", "no aliases");
    report.expect(is_pascal(item.name()), "ENUM_PASCAL_CASE", "enum names are PascalCase");
    let zero = item.value.first().is_some_and(|value| value.number() == 0);
    report.expect(zero, "ENUM_FIRST_VALUE_ZERO", "the first value is zero");
}

fn enum_value(
    report: &mut Report<'_>,
    item: &EnumDescriptorProto,
    value: &EnumValueDescriptorProto,
) {
    let name = value.name();
    let prefix = snake(item.name()).to_uppercase();
    report.expect(
        is_snake(&name.to_lowercase()) && !name.contains(char::is_lowercase),
        "ENUM_VALUE_UPPER_SNAKE_CASE",
        "enum values are UPPER_SNAKE_CASE",
    );
    report.expect(
        name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('_')),
        "ENUM_VALUE_PREFIX",
        &format!("values of this enum start with `{prefix}_`"),
    );
    report.expect(
        value.number() != 0 || name.ends_with("_UNSPECIFIED"),
        "ENUM_ZERO_VALUE_SUFFIX",
        "the zero value ends in `_UNSPECIFIED`",
    );
}

fn rpc(report: &mut Report<'_>, element: &Element<'_>, rpc: &MethodDescriptorProto) {
    let name = rpc.name();
    report.expect(is_pascal(name), "RPC_PASCAL_CASE", "RPC names are PascalCase");
    report.expect(
        snake(name).contains('_'),
        "AIP-136",
        "an RPC's name is a verb and a noun, such as `PromoteModel`",
    );
    report.expect(
        last(rpc.input_type()) == format!("{name}Request"),
        "RPC_REQUEST_STANDARD_NAME",
        &format!("its request is `{name}Request`"),
    );
    let operation = rpc.output_type() == ".google.longrunning.Operation";
    report.expect(
        operation || last(rpc.output_type()) == format!("{name}Response"),
        "RPC_RESPONSE_STANDARD_NAME",
        &format!("its response is `{name}Response`, or an Operation"),
    );
    report.expect(
        !(rpc.client_streaming() || rpc.server_streaming())
            || STREAMING_RPCS.iter().any(|(allowed, _)| *allowed == element.name),
        "UNARY_RPC",
        "RPCs are unary, but for those listed with a reason in tests/it/contract/rules.rs",
    );
    word(report, &snake(name));
}

/// RPC_REQUEST_RESPONSE_UNIQUE: no two RPCs share a message, so that each can grow alone.
fn types_of_rpcs(elements: &[Element<'_>], findings: &mut Vec<Finding>) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let rpcs = || {
        elements.iter().filter_map(|element| match element.node {
            Node::Rpc(rpc) => Some((element, rpc)),
            _ => None,
        })
    };
    for (_, rpc) in rpcs() {
        for name in [rpc.input_type(), rpc.output_type()] {
            *seen.entry(name).or_default() += 1;
        }
    }
    for (element, rpc) in rpcs() {
        for name in [rpc.input_type(), rpc.output_type()] {
            let shared = seen[name] > 1 && name != ".google.longrunning.Operation";
            Report { element, findings }.expect(
                !shared && name != ".google.protobuf.Empty",
                "RPC_REQUEST_RESPONSE_UNIQUE",
                "each RPC has a request and a response of its own",
            );
        }
    }
}

/// AIP-132, 134 and 158: lists have pages, updates have a mask.
fn standard_methods(elements: &[Element<'_>], findings: &mut Vec<Finding>) {
    for element in elements {
        let Node::Message(message) = element.node else { continue };
        let has = |name: &str, kind: Type| {
            message.field.iter().any(|field| field.name() == name && field.r#type() == kind)
        };
        let mut report = Report { element, findings };
        let name = message.name();
        if name.starts_with("List") && name.ends_with("Request") {
            let pages = has("page_size", Type::Int32) && has("page_token", Type::String);
            report.expect(pages, "AIP-158", "a list has `page_size` and `page_token`");
        }
        if name.starts_with("List") && name.ends_with("Response") {
            let pages = has("next_page_token", Type::String);
            report.expect(pages, "AIP-158", "a list answers with `next_page_token`");
        }
        if name.starts_with("Update") && name.ends_with("Request") {
            let mask = message
                .field
                .iter()
                .find(|field| field.name() == "update_mask")
                .is_some_and(|field| field.type_name() == ".google.protobuf.FieldMask");
            report.expect(mask, "AIP-134", "an update has an `update_mask`, a FieldMask");
        }
    }
}

/// IMPORT_USED: nothing is imported that no field and no RPC needs.
fn imports(contract: &Contract, elements: &[Element<'_>], findings: &mut Vec<Finding>) {
    let packages: HashMap<&str, Vec<String>> =
        contract.set.file.iter().map(|file| (file.name(), defined(file))).collect();
    for element in elements.iter().filter(|element| matches!(element.node, Node::File)) {
        let used: HashSet<&str> = elements
            .iter()
            .filter(|other| other.file.name() == element.file.name())
            .flat_map(|other| match other.node {
                Node::Field(field) => vec![field.type_name()],
                Node::Rpc(rpc) => vec![rpc.input_type(), rpc.output_type()],
                _ => Vec::new(),
            })
            .collect();
        for import in &element.file.dependency {
            let needed = packages[import.as_str()].iter().any(|name| used.contains(name.as_str()));
            Report { element, findings }.expect(
                needed,
                "IMPORT_USED",
                &format!("the import of {import} is not used"),
            );
        }
    }
}

/// The full names of the types that a file defines.
fn defined(file: &FileDescriptorProto) -> Vec<String> {
    let package = format!(".{}", file.package());
    let mut open: Vec<(String, &prost_types::DescriptorProto)> =
        file.message_type.iter().map(|message| (package.clone(), message)).collect();
    let mut names: Vec<String> =
        file.enum_type.iter().map(|item| format!("{package}.{}", item.name())).collect();
    while let Some((outer, message)) = open.pop() {
        let name = format!("{outer}.{}", message.name());
        names.extend(message.enum_type.iter().map(|item| format!("{name}.{}", item.name())));
        open.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
        names.push(name);
    }
    names
}

/// One word for one thing, in the contract as everywhere.
fn word(report: &mut Report<'_>, name: &str) {
    for (other, ours) in OTHER_WORDS {
        let found = format!("_{name}_").contains(&format!("_{other}_"));
        report.expect(!found, "WORDS", &format!("we say `{ours}`, not `{other}`"));
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
        && (name.len() == 1 || name.contains(|c: char| c.is_ascii_lowercase()))
}

/// `v1`, `v2`, `v1alpha1`, `v1beta2`.
fn is_version(part: &str) -> bool {
    let Some(rest) = part.strip_prefix('v') else { return false };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let stable = digits.is_empty() && !rest.is_empty();
    let tail = digits.strip_prefix("alpha").or_else(|| digits.strip_prefix("beta"));
    let unstable = digits.len() < rest.len()
        && tail.is_some_and(|tail| !tail.is_empty() && tail.chars().all(|c| c.is_ascii_digit()));
    stable || unstable
}

/// `KeyScope` as `key_scope`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && !before.is_ascii_uppercase() && before != '_' {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}
