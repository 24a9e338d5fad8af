//! `replyguard score`: comments in, verdicts out, one JSON object a line, in order.
//!
//! No store, no limits: what only the past of a site could tell is not known here.

use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rayon::prelude::*;
use serde::Serialize;

use super::corpus::CHUNK_LINES;
use super::files::{LINE_BYTES_MAX, parse_line, read_line, too_long};
use super::{Failure, load_model};
use crate::checks::{Facts, SiteRules};
use crate::domain::{Contribution, Example, Missing, Reason, Signal, SitePolicy, Verdict};
use crate::moderation::{Judgement, Scorer, examples};
use crate::text::{Analysis, hide};

/// How to score.
#[derive(Args)]
pub struct ScoreArgs {
    /// The model [default: the bundled one]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The site's policy, TOML or JSON [default: that of a new site]
    #[arg(long, value_name = "FILE")]
    site_policy: Option<PathBuf>,
}

/// A line of output.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Scored(Box<Scored>),
    Failed { error: String },
}

#[derive(Serialize)]
struct Scored {
    score: f64,
    verdict: Verdict,
    reasons: Vec<Reason>,
    signals: Vec<Signal>,
    contributions: Vec<Contribution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abuse_score: Option<f64>,
    discard: bool,
    missing: Vec<Missing>,
    model_version: String,
}

impl ScoreArgs {
    /// Scores standard input to standard output.
    ///
    /// # Errors
    /// Exit code 65 if any line could not be scored; its place has an `error`.
    pub fn run(self) -> Result<(), Failure> {
        let scorer = Scorer::new(Arc::new(load_model(self.model.as_deref())?));
        let rules = SiteRules::new(load_policy(self.site_policy.as_deref())?);
        let input = std::io::stdin().lock();
        let output = BufWriter::new(std::io::stdout().lock());
        let failed = score_lines(input, output, &scorer, &rules).map_err(anyhow::Error::from)?;
        match failed {
            0 => Ok(()),
            1 => Err(Failure::data("1 line could not be scored")),
            count => Err(Failure::data(format!("{count} lines could not be scored"))),
        }
    }
}

/// Scores all lines and gives the number of those that could not be.
///
/// # Errors
/// If input or output fail.
fn score_lines(
    mut input: impl BufRead,
    mut output: impl Write,
    scorer: &Scorer,
    rules: &SiteRules,
) -> std::io::Result<usize> {
    let (mut number, mut failed) = (0, 0);
    loop {
        let lines = read_chunk(&mut input)?;
        if lines.is_empty() {
            output.flush()?;
            return Ok(failed);
        }
        let scored: Vec<(Option<String>, Vec<u8>)> =
            lines.par_iter().map(|line| answer(line, scorer, rules)).collect();
        for (error, bytes) in scored {
            number += 1;
            if let Some(error) = error {
                failed += 1;
                eprintln!("replyguard: line {number}: {error}");
            }
            output.write_all(&bytes)?;
        }
    }
}

/// One line of output and, if there is one, its error.
fn answer(line: &[u8], scorer: &Scorer, rules: &SiteRules) -> (Option<String>, Vec<u8>) {
    let (error, line) = match score_line(line, scorer, rules) {
        Ok(scored) => (None, Line::Scored(Box::new(scored))),
        Err(error) => (Some(error.clone()), Line::Failed { error }),
    };
    let mut bytes = serde_json::to_vec(&line).expect("a line of output has only text keys");
    bytes.push(b'\n');
    (error, bytes)
}

fn score_line(line: &[u8], scorer: &Scorer, rules: &SiteRules) -> Result<Scored, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(too_long());
    }
    let text = std::str::from_utf8(line).map_err(|error| format!("this is no UTF-8: {error}"))?;
    let example: Example = parse_line(text.as_bytes())?;
    let submission = examples::submission(example).map_err(|error| error.to_string())?;
    let blind = hide(submission, &examples::offline_secret());
    let analysis = Analysis::new(&blind);
    let facts = Facts::unknown(examples::OFFLINE_TIME);
    let Judgement { signals, score, decision, .. } =
        scorer.judge(&analysis, rules, &facts, Vec::new());
    let score = score.ok_or("the comment could not be scored; this is a bug")?;
    Ok(Scored {
        score: score.probability,
        verdict: decision.verdict,
        reasons: decision.reasons,
        signals,
        contributions: score.contributions,
        abuse_score: score.abuse,
        discard: decision.discard,
        missing: blind.missing(),
        model_version: score.model_version,
    })
}

/// The next lines without their ends; none at the end of input. Of a line that is too long only
/// its beginning is kept, one byte more than allowed.
fn read_chunk(input: &mut impl BufRead) -> std::io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    let mut bytes_left = CHUNK_LINES * 1_024;
    while lines.len() < CHUNK_LINES && bytes_left > 0 {
        let mut line = Vec::new();
        if read_line(input, &mut line)? == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
        }
        bytes_left = bytes_left.saturating_sub(line.len());
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        lines.push(line);
    }
    Ok(lines)
}

fn load_policy(path: Option<&Path>) -> Result<SitePolicy, Failure> {
    path.map_or_else(|| Ok(SitePolicy::default()), super::sites::read_policy)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::classifier::base_model;

    /// The output lines and the number of failed ones.
    fn scored(input: &[u8]) -> (Vec<Value>, usize) {
        let scorer = Scorer::new(Arc::new(base_model()));
        let rules = SiteRules::new(SitePolicy::default());
        let mut output = Vec::new();
        let failed = score_lines(input, &mut output, &scorer, &rules).unwrap();
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), failed)
    }

    #[test]
    fn each_line_is_answered_in_its_place() {
        let input = b"{\"text\":\"Does the dough rest overnight?\",\"author\":\"Jane\"}\r\n\
            nonsense\n\
            {\"author\":\"nobody\"}\n\
            {\"text\":\"\xff\"}\n\
            {\"text\":\"a\\u0000b\"}\n\
            {\"text\":\"Best online casino, visit http://win.example.com\",\"email\":\"none\"}";
        let (lines, failed) = scored(input);
        assert_eq!((lines.len(), failed), (6, 4));
        for (line, answer) in lines.iter().enumerate() {
            assert_eq!(answer.get("error").is_some(), (1..5).contains(&line), "{answer}");
        }
        let probability = |line: usize| lines[line]["score"].as_f64().unwrap();
        assert!(probability(0) < 0.3 && probability(5) > 0.7, "{lines:?}");
        assert_eq!(lines[0]["verdict"], "approve");
    }

    #[test]
    fn contributions_add_up_to_the_score() {
        let (lines, _) = scored(b"{\"text\":\"Cheap pills! Buy at http://pills.example.com\"}\n");
        let weights = lines[0]["contributions"].as_array().unwrap().iter();
        let sum: f64 = weights.map(|part| part["weight"].as_f64().unwrap()).sum();
        let probability = 1.0 / (1.0 + (-sum).exp());
        assert_eq!(lines[0]["score"].as_f64().unwrap(), probability);
    }

    #[test]
    fn an_endless_line_is_refused_and_the_next_one_read() {
        let mut input = b"{\"text\":\"".to_vec();
        input.resize(LINE_BYTES_MAX + 100, b'x');
        input.extend_from_slice(b"\"}\n{\"text\":\"Thank you.\"}\n");
        let (lines, failed) = scored(&input);
        assert_eq!((lines.len(), failed), (2, 1));
        assert!(lines[0]["error"].as_str().unwrap().contains("more than"));
        assert!(lines[1]["score"].is_number());
    }
}
