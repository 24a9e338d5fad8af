//! The corpora of our own keep the format that their README promises, and name no real place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Deserialize;

/// A line of `training-data/*/*.jsonl`. Unlike what the trainer reads, it forgives nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    text: String,
    label: String,
    lang: String,
    kind: String,
    source: String,
    author: Option<String>,
    url: Option<String>,
    email: Option<String>,
    context: Option<String>,
}

/// A row with where it stands.
struct Placed {
    place: String,
    file: String,
    row: Row,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("training-data")
}

fn readme() -> String {
    fs::read_to_string(folder().join("README.md")).unwrap()
}

/// A corpus: its folder and its two labels.
#[derive(Clone, Copy)]
struct Corpus {
    name: &'static str,
    labels: [&'static str; 2],
}

const SEED: Corpus = Corpus { name: "seed", labels: ["ham", "spam"] };
const ABUSE: Corpus = Corpus { name: "abuse", labels: ["clean", "toxic"] };

impl Corpus {
    fn rows(self) -> Vec<Placed> {
        let mut rows = Vec::new();
        for entry in fs::read_dir(folder().join(self.name)).unwrap() {
            let path = entry.unwrap().path();
            let file = format!("{}/{}", self.name, path.file_name().unwrap().to_string_lossy());
            for (line, text) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
                let place = format!("{file}:{line}");
                let row =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}"));
                rows.push(Placed { place, file: file.clone(), row });
            }
        }
        rows
    }

    /// What a language's rows count as.
    fn source(self, language: &str) -> &'static str {
        match language {
            _ if self.name == ABUSE.name => "seed_abuse",
            "en" => "seed_english",
            "zh" | "ja" | "ko" => "seed_east_asian",
            "id" | "ms" | "tl" | "vi" | "tr" | "ar" | "hi" => "seed_asian",
            _ => "seed_european",
        }
    }

    /// How many rows have each label, by what `key` says.
    fn counts(self, key: impl Fn(&Placed) -> String) -> BTreeMap<String, [usize; 2]> {
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for placed in self.rows() {
            let label = usize::from(placed.row.label == self.labels[1]);
            counts.entry(key(&placed)).or_default()[label] += 1;
        }
        counts
    }
}

/// The rows of both.
fn rows() -> Vec<Placed> {
    [SEED, ABUSE].into_iter().flat_map(Corpus::rows).collect()
}

/// The kinds of a label, as the README's table lists them.
fn kinds(readme: &str, label: &str) -> BTreeSet<String> {
    let start = format!("| {label} | `");
    let row = readme.lines().find(|line| line.starts_with(&start)).expect("no row of kinds");
    row.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn rows_have_the_promised_format() {
    let readme = readme();
    for corpus in [SEED, ABUSE] {
        let known = corpus.labels.map(|label| (label.to_owned(), kinds(&readme, label)));
        let known = BTreeMap::from(known);
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Placed { place, file, row } in corpus.rows() {
            let expected = format!("{}/{}.jsonl", corpus.name, row.lang);
            assert_eq!(file, expected, "{place}: the file is its language's");
            assert_eq!(row.source, corpus.source(&row.lang), "{place}");
            let kinds = known.get(&row.label).unwrap_or_else(|| panic!("{place}: {}", row.label));
            assert!(kinds.contains(&row.kind), "{place}: unknown kind {}", row.kind);
            assert!(!row.text.trim().is_empty(), "{place}: empty");
            used.entry(row.label).or_default().insert(row.kind);
        }
        assert_eq!(used, known, "every kind of the README has rows");
    }
}

#[test]
fn texts_are_unique() {
    let mut seen = BTreeMap::new();
    for Placed { place, row, .. } in rows() {
        let words: Vec<String> = row.text.split_whitespace().map(str::to_lowercase).collect();
        if let Some(first) = seen.insert(words.join(" "), place.clone()) {
            panic!("{place} repeats {first}");
        }
    }
}

/// So many runs of six words may a row share with a comment of the corpora by chance.
const SHARED_RUNS_MAX: usize = 2;

/// The corpora are other people's words, and models are judged on them: no row may be a variant of
/// a comment that stands there. Where the corpora are not, there is nothing to compare with.
#[test]
fn rows_are_no_comments_of_the_corpora() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let corpora = std::env::var("REPLYGUARD_CORPORA").unwrap_or(default.to_owned());
    let rows = rows();
    let own = Runs::of(rows.iter().map(|placed| placed.row.text.as_str()));
    let mut found = BTreeSet::new();
    for file in ["train_spam.jsonl", "train_tox.jsonl", "dev_spam.jsonl", "dev_tox.jsonl"] {
        let Ok(text) = fs::read_to_string(format!("{corpora}/{file}")) else { continue };
        for line in text.lines() {
            let comment: serde_json::Value = serde_json::from_str(line).unwrap();
            let comment = comment["text"].as_str().unwrap();
            found.extend(own.alike(comment).map(|row| rows[row].place.clone()));
        }
    }
    assert!(found.is_empty(), "variants of comments in the corpora: {found:?}");
}

#[test]
fn a_variant_would_be_noticed() {
    let own = Runs::of(["We sell the best of doors and windows in town, come and see us soon"]);
    let alike = |text| own.alike(text).count();
    assert_eq!(alike("He said: we SELL the best of doors, and windows in town! Do call"), 1);
    assert_eq!(alike("They say they sell the best of bread and windows in town"), 0);
    assert_eq!(alike("The best of doors"), 0);
}

/// Which rows have a run of six words.
struct Runs(HashMap<u64, Vec<usize>>);

impl Runs {
    fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut runs: HashMap<u64, Vec<usize>> = HashMap::new();
        for (row, text) in texts.into_iter().enumerate() {
            runs_of_six(text).into_iter().for_each(|run| runs.entry(run).or_default().push(row));
        }
        Self(runs)
    }

    /// The rows that share more runs with a text than chance explains.
    fn alike(&self, text: &str) -> impl Iterator<Item = usize> {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for run in runs_of_six(text) {
            for row in self.0.get(&run).into_iter().flatten() {
                *shared.entry(*row).or_default() += 1;
            }
        }
        shared.into_iter().filter(|(_, runs)| *runs > SHARED_RUNS_MAX).map(|(row, _)| row)
    }
}

/// The hash of each six words in a row, once.
fn runs_of_six(text: &str) -> BTreeSet<u64> {
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    words
        .windows(6)
        .map(|run| {
            let mut hasher = DefaultHasher::new();
            run.hash(&mut hasher);
            hasher.finish()
        })
        .collect()
}

#[test]
fn every_language_has_enough_of_both_labels() {
    for corpus in [SEED, ABUSE] {
        let counts = corpus.counts(|placed| placed.row.lang.clone());
        assert!(counts.len() >= 10, "ten languages, not {}", counts.len());
        let all: usize = counts.values().flatten().sum();
        assert!(all >= 600, "600 rows, not {all}");
        for (language, [good, bad]) in &counts {
            let share = *good as f64 / (good + bad) as f64;
            let (name, [label, other]) = (corpus.name, corpus.labels);
            assert!(
                (0.5..=0.7).contains(&share),
                "{name}, {language}: {good} {label}, {bad} {other}; aim for 60 %"
            );
        }
    }
}

#[test]
fn the_readme_counts_rightly() {
    let mut counts = BTreeMap::new();
    for corpus in [SEED, ABUSE] {
        counts.append(&mut corpus.counts(|placed| placed.file.clone()));
        counts.append(&mut corpus.counts(|_| format!("all of {}", corpus.name)));
    }
    let mut listed = BTreeMap::new();
    for line in readme().lines() {
        let cells: Vec<&str> =
            line.split('|').map(|cell| cell.trim_matches([' ', '*', '`'])).collect();
        let [_, language, file, good, bad, all, _] = cells[..] else { continue };
        let (Ok(good), Ok(bad), Ok(all)) = (good.parse(), bad.parse(), all.parse::<usize>()) else {
            continue;
        };
        assert_eq!(good + bad, all, "{line}");
        listed.insert(if file.is_empty() { language } else { file }.to_owned(), [good, bad]);
    }
    assert_eq!(listed, counts, "the tables under Counts (left) and the files (right)");
}

#[test]
fn hosts_are_reserved() {
    let mut found = Vec::new();
    for Placed { place, row, .. } in rows() {
        // What stands in the website field is a host even without `http://`.
        let url =
            row.url.map(|url| if url.contains("://") { url } else { format!("http://{url}") });
        for text in [Some(row.text), row.author, row.email, row.context, url].into_iter().flatten()
        {
            found.extend(hosts(&text).into_iter().filter(|host| !is_reserved(host)).map(|host| {
                format!("{place}: `{host}` may be real; use *.example, *.test or *.invalid")
            }));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn real_hosts_would_be_noticed() {
    for (text, host) in [
        ("see https://shop.real.biz/a?b", "shop.real.biz"),
        ("see HTTP://Real.Biz:80", "real.biz"),
        ("[url=http://real.biz]x[/url]", "real.biz"),
        ("www.real.biz", "real.biz"),
        ("write to jo@mail.real.biz.", "mail.real.biz"),
        ("go to real.com now", "real.com"),
        ("http://казино.рф", "казино.рф"),
        ("see jo.com@mail.example or jo.com", "jo.com"),
        ("http://example.com.real.biz", "example.com.real.biz"),
        ("hxxp://real[.]biz/a", "real.biz"),
        ("http://9.9.9.9/a", "9.9.9.9"),
    ] {
        let hosts = hosts(text);
        assert!(
            hosts.iter().any(|found| found == host && !is_reserved(found)),
            "{text}: {hosts:?}"
        );
    }
    for text in [
        "https://a.b.example/c",
        "jo@mail.test",
        "www.example.org",
        "hxxp://a1.school[.]example, http://nas:8096, http://192.168.1.4/ and http://203.0.113.9",
        "c@sa",
        "V.1.@.g.r.@",
        "@jo.real says so, and @mary.real too",
        "ASP.NET is old, says jo.online@mail.example of http://bаkery.example",
    ] {
        let hosts = hosts(text);
        assert!(hosts.iter().all(|host| is_reserved(host)), "{text}: {hosts:?}");
    }
}

#[test]
fn the_catalogue_of_sources_is_complete() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Catalogue {
        source: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        name: String,
        what: String,
        licence: String,
        rows_ham: u32,
        rows_spam: u32,
        caution: String,
    }
    let text = fs::read_to_string(folder().join("sources.toml")).unwrap();
    let catalogue: Catalogue = toml::from_str(&text).unwrap();
    let mut names = BTreeSet::new();
    for entry in catalogue.source {
        assert!(names.insert(entry.name.clone()), "{} stands there twice", entry.name);
        let complete = [&entry.what, &entry.licence, &entry.caution];
        assert!(complete.iter().all(|field| !field.is_empty()), "{}: empty field", entry.name);
        assert!(entry.rows_ham + entry.rows_spam > 0, "{}: no rows", entry.name);
    }
    assert!(!names.is_empty());
}

/// Every host that a text links to or an address ends in. One that does not start with an ASCII
/// letter or digit comes out empty or cut, and so is not reserved.
fn hosts(text: &str) -> Vec<String> {
    // Dots as people write them who do not want a link.
    let text = text.to_lowercase().replace("[.]", ".");
    let is_host = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let host_at = |start: usize| {
        let rest = &text[start..];
        let end = rest.find(|c| !is_host(c)).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_owned()
    };
    let after = |mark: &str| -> Vec<usize> {
        text.match_indices(mark).map(|(start, mark)| start + mark.len()).collect()
    };
    let mut hosts: Vec<String> =
        ["://", "www."].iter().flat_map(|mark| after(mark)).map(host_at).collect();
    // Where nothing stands before the sign, it is somebody's handle.
    let begins = |at: &usize| text[..at - 1].chars().next_back().is_none_or(char::is_whitespace);
    let mailbox = after("@").into_iter().filter(|at| !begins(at)).map(host_at);
    // `react@18.2.0` is a version: no top-level domain is a number.
    let version =
        |host: &str| host.rsplit('.').next().is_some_and(|end| end.parse::<u64>().is_ok());
    hosts.extend(
        mailbox.filter(|host| !host.starts_with('.') && host.contains('.') && !version(host)),
    );
    // Bare names: only with endings that are no file's, or every `main.rs` would be a host.
    // What stands before the sign of an address is no host, and ASP.NET is a program.
    let bare = text.split_inclusive(|c| !is_host(c)).filter(|part| !part.ends_with('@'));
    let bare = bare.map(|part| part.trim_end_matches(|c| !is_host(c)).trim_matches('.'));
    let bare = bare.filter(|word| has_common_ending(word) && *word != "asp.net");
    hosts.extend(bare.map(str::to_owned));
    hosts.retain(|host| !host.is_empty());
    hosts
}

fn has_common_ending(word: &str) -> bool {
    let endings = "com net org info biz ru de io shop online site top xyz club app cc ly";
    word.rsplit_once('.').is_some_and(|(_, end)| endings.split(' ').any(|ending| ending == end))
}

/// RFC 2606 and RFC 6761; addresses of documentation (RFC 5737), of private networks and of the
/// machine itself; names that only a private network has.
fn is_reserved(host: &str) -> bool {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return ip.is_documentation() || ip.is_private() || ip.is_loopback() || ip.is_unspecified();
    }
    if ["localhost", "nas"].contains(&host) {
        return true;
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let second = ["example.com", "example.org", "example.net"];
    ["example", "test", "invalid"].contains(&last)
        || second.iter().any(|name| {
            host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}
