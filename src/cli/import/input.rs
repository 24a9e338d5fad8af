//! Files as they come: packed or not, and in which format.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use clap::ValueEnum;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use serde::Serialize;

use super::comment::{Place, Problem};
use super::table;

/// Bytes of a file that its format is told from.
const HEAD_BYTES: u64 = 64 * 1024;
/// The first bytes of a packed file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// WordPress: Tools, Export (WXR)
    Wxr,
    /// WordPress: a dump of its MySQL or MariaDB database
    WordpressSql,
    /// Disqus: Community, Export
    Disqus,
    /// Isso: its SQLite database
    Isso,
    /// Remark42: a backup
    Remark42,
    /// One JSON object a line
    Jsonl,
    /// A table with a header
    Csv,
}

impl Format {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Wxr => "WordPress export",
            Self::WordpressSql => "WordPress database dump",
            Self::Disqus => "Disqus export",
            Self::Isso => "Isso database",
            Self::Remark42 => "Remark42 backup",
            Self::Jsonl => "JSON lines",
            Self::Csv => "table",
        }
    }

    /// What its examples are called in the ledger, if they don't say it themselves. Both files of
    /// WordPress have one name, so that a comment that is in both is one example.
    pub fn source(self) -> &'static str {
        match self {
            Self::Wxr | Self::WordpressSql => "wordpress",
            Self::Disqus => "disqus",
            Self::Isso => "isso",
            Self::Remark42 => "remark42",
            Self::Jsonl | Self::Csv => "import",
        }
    }
}

/// An open file, unpacked.
pub(super) struct Input {
    /// What it is.
    pub format: Format,
    /// Its bytes. Nothing for a database, which is read in its place.
    pub bytes: Box<dyn BufRead>,
}

/// Opens a file and tells what it is. The bar follows the bytes that are read.
pub(super) fn open(
    path: &Path,
    format: Option<Format>,
    bar: &ProgressBar,
) -> Result<Input, Problem> {
    let failed = |error: std::io::Error| Problem::at(Place::File, error.to_string());
    let mut file = File::open(path).map_err(failed)?;
    let mut magic = Vec::new();
    Read::take(&mut file, GZIP.len() as u64).read_to_end(&mut magic).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let read = bar.wrap_read(file);
    let mut bytes: Box<dyn BufRead> = if magic == GZIP {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(read)))
    } else {
        Box::new(BufReader::with_capacity(1 << 16, read))
    };
    let mut head = Vec::new();
    Read::take(&mut bytes, HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
    let format = format.or_else(|| detect(&head)).ok_or_else(|| {
        let text = "this is none of the formats that can be imported; --format says which it is";
        Problem::at(Place::File, text)
    })?;
    if format == Format::Isso && magic == GZIP {
        return Err(Problem::at(Place::File, "unpack the database first"));
    }
    Ok(Input { format, bytes: Box::new(Cursor::new(head).chain(bytes)) })
}

/// The format of a file that begins like this.
pub(super) fn detect(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"SQLite format 3\0") {
        return Some(Format::Isso);
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.chars().next()? {
        '<' if text.contains("wordpress.org/export/") => Some(Format::Wxr),
        '<' if text.contains("disqus.com") => Some(Format::Disqus),
        '<' => None,
        '{' => Some(if is_remark(text) { Format::Remark42 } else { Format::Jsonl }),
        _ if is_sql(text) => Some(Format::WordpressSql),
        _ => table::has_header(text).then_some(Format::Csv),
    }
}

/// Whether the first line is the head of a Remark42 backup or one of its comments.
fn is_remark(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let start: String = line.chars().take(200).filter(|c| !c.is_whitespace()).collect();
    start.starts_with("{\"version\":") && !start.contains("\"text\":")
        || line.contains("\"locator\"") && line.contains("\"orig\"")
}

fn is_sql(text: &str) -> bool {
    let word = text.split(char::is_whitespace).next().unwrap_or_default().to_ascii_uppercase();
    let begins = ["INSERT", "CREATE", "DROP", "SET", "START", "LOCK", "USE"];
    ["--", "/*", "#"].iter().any(|sign| text.starts_with(sign)) || begins.contains(&&*word)
}

/// Reads bytes that are UTF-8 or nearly: a byte that is not becomes a question mark, so that
/// places stay right.
pub(super) struct Mended<R> {
    inner: R,
    /// The beginning of a character whose end was not read yet.
    carry: Vec<u8>,
}

impl<R: Read> Mended<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, carry: Vec::new() }
    }
}

impl<R: Read> Read for Mended<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        // Three bytes of a character may wait, and one must come to get further.
        if out.len() < 4 {
            return Err(std::io::Error::other("the buffer is too small"));
        }
        let carried = self.carry.len();
        out[..carried].copy_from_slice(&self.carry);
        self.carry.clear();
        let read = self.inner.read(&mut out[carried..])?;
        let mut length = carried + read;
        let mut from = 0;
        while let Err(error) = std::str::from_utf8(&out[from..length]) {
            let bad = from + error.valid_up_to();
            match error.error_len() {
                Some(count) => {
                    out[bad..bad + count].fill(b'?');
                    from = bad + count;
                }
                None if read == 0 => {
                    out[bad..length].fill(b'?');
                    from = length;
                }
                None => {
                    self.carry.extend_from_slice(&out[bad..length]);
                    length = bad;
                }
            }
        }
        if length == 0 && !self.carry.is_empty() {
            return self.read(out);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formats_are_told_from_their_beginning() {
        let wxr = "\u{feff}<?xml version=\"1.0\"?>\n<!-- x -->\n<rss xmlns:wp=\"http://wordpress.org/export/1.2/\">";
        let cases = [
            (wxr, Some(Format::Wxr)),
            ("<disqus xmlns=\"http://disqus.com\">", Some(Format::Disqus)),
            ("<html>", None),
            ("SQLite format 3\0", Some(Format::Isso)),
            ("{\"version\":1,\"users\":[],\"posts\":[]}\n", Some(Format::Remark42)),
            ("{\"id\":\"a\",\"orig\":\"b\",\"locator\":{}}\n", Some(Format::Remark42)),
            ("{\"text\": \"Lovely\", \"label\": \"ham\"}\n", Some(Format::Jsonl)),
            ("-- MySQL dump 10.13\n", Some(Format::WordpressSql)),
            ("/*M!999999\\- enable the sandbox mode */", Some(Format::WordpressSql)),
            ("text,label\nLovely,ham\n", Some(Format::Csv)),
            ("Comment;Is Spam\n", Some(Format::Csv)),
            ("a,b\n", None),
            ("", None),
        ];
        for (head, format) in cases {
            assert_eq!(detect(head.as_bytes()), format, "{head}");
        }
    }

    proptest! {
        #[test]
        fn mending_is_lossy_decoding_that_keeps_lengths(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..9,
        ) {
            struct Slow<'a>(&'a [u8], usize);
            impl Read for Slow<'_> {
                fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                    let count = self.1.min(out.len()).min(self.0.len());
                    out[..count].copy_from_slice(&self.0[..count]);
                    self.0 = &self.0[count..];
                    Ok(count)
                }
            }
            let mut mended = Vec::new();
            let mut reader = BufReader::with_capacity(16, Mended::new(Slow(&bytes, step)));
            while let Some(count) = Some(reader.fill_buf().unwrap().len()).filter(|count| *count > 0) {
                mended.extend_from_slice(reader.buffer());
                reader.consume(count);
            }
            prop_assert_eq!(mended.len(), bytes.len());
            prop_assert!(std::str::from_utf8(&mended).is_ok());
            if std::str::from_utf8(&bytes).is_ok() {
                prop_assert_eq!(mended, bytes);
            }
        }

        #[test]
        fn rubbish_has_a_format_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            detect(&bytes);
        }
    }
}
