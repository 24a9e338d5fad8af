//! The bytes of a dump: space, comments, words, names and literals of SQL.

use std::io::Read;

use super::comment::{Place, Problem};

/// Bytes of a value that are kept; the rest is passed over. More than any comment may have.
const VALUE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a name or a keyword; MySQL's have at most 64 characters.
const WORD_BYTES_MAX: usize = 256;

/// A value; nothing for NULL.
pub(super) type Value = Option<Vec<u8>>;

/// The dump's bytes, one by one.
pub(super) struct Bytes<R> {
    inner: R,
    buffer: Vec<u8>,
    at: usize,
    /// Of the buffer's first byte.
    start: u64,
}

impl<R: Read> Bytes<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new(), at: 0, start: 0 }
    }

    pub fn place(&self) -> Place {
        Place::Byte(self.start + self.at as u64)
    }

    pub fn problem(&self, problem: &str) -> Problem {
        Problem::at(self.place(), problem)
    }

    pub fn ended(&self) -> Problem {
        self.problem("the dump ends inside of a statement")
    }

    pub fn peek(&mut self) -> Result<Option<u8>, Problem> {
        if self.at == self.buffer.len() {
            self.start += self.at as u64;
            self.at = 0;
            self.buffer.resize(1 << 16, 0);
            let read = self.inner.read(&mut self.buffer);
            let count = read.map_err(|error| self.problem(&error.to_string()))?;
            self.buffer.truncate(count);
        }
        Ok(self.buffer.get(self.at).copied())
    }

    pub fn next(&mut self) -> Result<Option<u8>, Problem> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    pub fn expect(&mut self, expected: u8) -> Result<(), Problem> {
        match self.next()? {
            Some(byte) if byte == expected => Ok(()),
            Some(_) => Err(self.problem(&format!("`{}` is expected", char::from(expected)))),
            None => Err(self.ended()),
        }
    }

    /// Passes white space and comments. What `/*! … */` has for other versions is one, too.
    pub fn skip_space(&mut self) -> Result<(), Problem> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'#' => drop(self.line()?),
                b'-' => {
                    self.at += 1;
                    if self.peek()? == Some(b'-') {
                        self.line()?;
                    } else {
                        // A minus: back to it. It was in the buffer, or is put there.
                        self.give_back(b'-');
                        return Ok(());
                    }
                }
                b'/' => {
                    self.at += 1;
                    if self.peek()? != Some(b'*') {
                        self.give_back(b'/');
                        return Ok(());
                    }
                    self.at += 1;
                    self.skip_comment()?;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn give_back(&mut self, byte: u8) {
        if self.at == 0 {
            self.buffer.insert(0, byte);
            self.start = self.start.saturating_sub(1);
        } else {
            self.at -= 1;
        }
    }

    fn skip_comment(&mut self) -> Result<(), Problem> {
        let mut last = 0;
        while let Some(byte) = self.next()? {
            if (last, byte) == (b'*', b'/') {
                return Ok(());
            }
            last = byte;
        }
        Err(self.problem("the dump ends inside of a comment"))
    }

    /// The rest of the line, as far as anybody looks at it.
    pub fn line(&mut self) -> Result<String, Problem> {
        let mut line = Vec::new();
        while let Some(byte) = self.next()? {
            if byte == b'\n' {
                break;
            }
            if line.len() < WORD_BYTES_MAX {
                line.push(byte);
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// A keyword in upper case; empty if none stands here.
    pub fn word(&mut self) -> Result<String, Problem> {
        let mut word = String::new();
        while let Some(byte) = self.peek()? {
            if !(byte.is_ascii_alphanumeric() || byte == b'_') || word.len() == WORD_BYTES_MAX {
                break;
            }
            word.push(char::from(byte.to_ascii_uppercase()));
            self.at += 1;
        }
        Ok(word)
    }

    /// A name, quoted or not.
    pub fn name(&mut self) -> Result<String, Problem> {
        let mut name = Vec::new();
        let quote = self.peek()?.filter(|byte| matches!(byte, b'`' | b'"'));
        self.at += usize::from(quote.is_some());
        while let Some(byte) = self.peek()? {
            let within = match quote {
                Some(quote) => byte != quote,
                None => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte > 127,
            };
            if !within {
                break;
            }
            if name.len() == WORD_BYTES_MAX {
                return Err(self.problem("a name that is too long"));
            }
            name.push(byte);
            self.at += 1;
        }
        if let Some(quote) = quote {
            self.expect(quote)?;
        }
        if name.is_empty() {
            return Err(match self.peek()? {
                Some(_) => self.problem("a name is expected"),
                None => self.ended(),
            });
        }
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Passes quoted text whose opening sign was read.
    fn skip_quoted(&mut self, quote: u8) -> Result<(), Problem> {
        while let Some(byte) = self.next()? {
            match byte {
                b'\\' if quote != b'`' => drop(self.next()?),
                _ if byte == quote => return Ok(()),
                _ => {}
            }
        }
        Err(self.ended())
    }

    /// Passes all up to a byte outside of quotes and comments that `is_end` knows, given how many
    /// brackets are open there. Reads that byte, too.
    pub fn skip_until(&mut self, is_end: impl Fn(u8, usize) -> bool) -> Result<u8, Problem> {
        let mut depth = 0usize;
        loop {
            self.skip_space()?;
            let Some(byte) = self.next()? else { return Err(self.ended()) };
            if is_end(byte, depth) {
                return Ok(byte);
            }
            match byte {
                b'\'' | b'"' | b'`' => self.skip_quoted(byte)?,
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    pub fn skip_statement(&mut self) -> Result<(), Problem> {
        self.skip_until(|byte, _| byte == b';').map(drop)
    }

    /// A literal.
    pub fn value(&mut self) -> Result<Value, Problem> {
        match self.peek()? {
            Some(quote @ (b'\'' | b'"')) => {
                self.at += 1;
                self.string(quote).map(Some)
            }
            Some(_) => {
                let mut bare = Vec::new();
                while let Some(byte) = self.peek()? {
                    let within = byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
                    if !within || bare.len() == 2 * VALUE_BYTES_MAX {
                        break;
                    }
                    bare.push(byte);
                    self.at += 1;
                }
                // `_binary 'text'` and `x'ff'`.
                let introduces = bare.starts_with(b"_") || bare.eq_ignore_ascii_case(b"x");
                if introduces {
                    self.skip_space()?;
                }
                if introduces && let Some(quote @ (b'\'' | b'"')) = self.peek()? {
                    self.at += 1;
                    let text = self.string(quote)?;
                    return Ok(Some(if bare[0] == b'_' { text } else { unhex(&text) }));
                }
                match bare.strip_prefix(b"0x") {
                    Some(digits) => Ok(Some(unhex(digits))),
                    None if bare.eq_ignore_ascii_case(b"NULL") => Ok(None),
                    None if bare.is_empty() => Err(self.problem("a value is expected")),
                    None => Ok(Some(bare)),
                }
            }
            None => Err(self.ended()),
        }
    }

    /// A quoted text whose opening sign was read, with what its escapes stand for.
    fn string(&mut self, quote: u8) -> Result<Vec<u8>, Problem> {
        let mut text = Vec::new();
        let mut push = |byte| {
            if text.len() < VALUE_BYTES_MAX {
                text.push(byte);
            }
        };
        while let Some(byte) = self.next()? {
            if byte == b'\\' {
                match self.next()?.ok_or_else(|| self.ended())? {
                    b'0' => push(0),
                    b'b' => push(8),
                    b'n' => push(b'\n'),
                    b'r' => push(b'\r'),
                    b't' => push(b'\t'),
                    b'Z' => push(26),
                    other => push(other),
                }
            } else if byte != quote {
                push(byte);
            } else if self.peek()? == Some(quote) {
                self.at += 1;
                push(quote);
            } else {
                return Ok(text);
            }
        }
        Err(self.ended())
    }
}

/// The bytes of hexadecimal digits; others end them.
fn unhex(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    pairs.map_while(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}
