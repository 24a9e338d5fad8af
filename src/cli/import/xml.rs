//! XML of strangers: no entity but the five of XML is known, a document type definition is refused,
//! and no element can be larger, deeper or longer than any export has them.

use std::io::{BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::comment::{Place, Problem};
use super::input::Mended;

/// Elements inside each other; a comment of an export stands at the fifth place.
const DEPTH_MAX: usize = 64;
/// Bytes of a tag, or of a piece of text. A page of WordPress is one piece; its database takes at
/// most 4 GiB, its editor gives up long before this.
const PIECE_BYTES_MAX: usize = 64 << 20;
/// Bytes of an element's text that are kept: more than any comment may have.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// Looks at elements as they come.
pub(super) trait Visitor {
    /// An element begins. Its name is the last of `path`.
    fn open(&mut self, path: &[String], element: &BytesStart<'_>) -> Result<(), Problem>;

    /// An element ends. `text` stood in it behind its last child.
    fn close(&mut self, path: &[String], text: String) -> Result<(), Problem>;
}

/// Walks through a document.
pub(super) fn walk(bytes: impl Read, visitor: &mut impl Visitor) -> Result<(), Problem> {
    let bounded = Bounded { inner: BufReader::new(Mended::new(bytes)), left: 0 };
    let mut reader = Reader::from_reader(bounded);
    reader.config_mut().allow_dangling_amp = true;
    let mut walk = Walk { path: Vec::new(), text: String::new(), begun: false };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().left = PIECE_BYTES_MAX;
        let event = reader.read_event_into(&mut buffer);
        let event = event.map_err(|error| error_sentence(&error));
        let place = Place::Byte(reader.buffer_position());
        let event = event.map_err(|sentence| Problem::at(place, sentence))?;
        if !walk.step(event, place, visitor)? {
            return Ok(());
        }
    }
}

/// Never with a part of the file, which may be an address.
fn error_sentence(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Io(error) => error.to_string(),
        quick_xml::Error::IllFormed(_) => "the tags of the XML do not match".to_owned(),
        _ => "this is no XML".to_owned(),
    }
}

struct Walk {
    path: Vec<String>,
    text: String,
    begun: bool,
}

impl Walk {
    /// Takes the next piece; false at the end.
    fn step(
        &mut self,
        event: Event<'_>,
        place: Place,
        visitor: &mut impl Visitor,
    ) -> Result<bool, Problem> {
        match event {
            Event::Start(element) => self.open(&element, place, visitor)?,
            Event::Empty(element) => {
                self.open(&element, place, visitor)?;
                self.close(visitor)?;
            }
            Event::End(_) => self.close(visitor)?,
            Event::Text(text) => self.push(&text.xml10_content()),
            Event::CData(text) => self.push(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = reference.resolve_char_ref();
                let character = resolved.map_err(|_| {
                    Problem::at(place, "a reference to a character that does not exist")
                })?;
                let name = reference.xml10_content();
                match (character, &*name) {
                    (Some(character), _) => self.push(character.encode_utf8(&mut [0; 4])),
                    (None, "lt") => self.push("<"),
                    (None, "gt") => self.push(">"),
                    (None, "amp") => self.push("&"),
                    (None, "quot") => self.push("\""),
                    (None, "apos") => self.push("'"),
                    // Not ours to know; it stays as it stands.
                    (None, name) => self.push(&format!("&{name};")),
                }
            }
            Event::DocType(_) => {
                let text = "a document type definition, which no export has, is not read";
                return Err(Problem::at(place, text));
            }
            Event::Decl(declaration) => check_encoding(&declaration, place)?,
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if self.path.is_empty() && self.begun => return Ok(false),
            Event::Eof => {
                return Err(Problem::at(place, "the file ends before its last element does"));
            }
        }
        Ok(true)
    }

    fn open(
        &mut self,
        element: &BytesStart<'_>,
        place: Place,
        visitor: &mut impl Visitor,
    ) -> Result<(), Problem> {
        if self.path.len() == DEPTH_MAX {
            let text = format!("more than {DEPTH_MAX} elements inside each other");
            return Err(Problem::at(place, text));
        }
        self.begun = true;
        self.path.push(element.name().as_ref().to_owned());
        self.text.clear();
        visitor.open(&self.path, element)
    }

    fn close(&mut self, visitor: &mut impl Visitor) -> Result<(), Problem> {
        visitor.close(&self.path, std::mem::take(&mut self.text))?;
        self.path.pop();
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if self.text.len() < TEXT_BYTES_MAX {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX - self.text.len());
            self.text.push_str(&text[..end]);
            // Full, whatever the boundary was.
            if end < text.len() {
                self.text.push_str("   ");
            }
        }
    }
}

fn check_encoding(
    declaration: &quick_xml::events::BytesDecl<'_>,
    place: Place,
) -> Result<(), Problem> {
    let encoding = declaration.encoding().and_then(Result::ok);
    let known = ["utf-8", "utf8", "us-ascii"];
    match encoding {
        Some(name) if !known.contains(&&*name.to_ascii_lowercase()) => {
            Err(Problem::at(place, "only XML in UTF-8 is read"))
        }
        _ => Ok(()),
    }
}

/// Bytes that end when a piece has too many.
struct Bounded<R> {
    inner: BufReader<R>,
    /// Bytes that the piece may still have.
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            let text = format!("a tag or text has more than {PIECE_BYTES_MAX} bytes");
            return Err(std::io::Error::other(text));
        }
        let bytes = self.inner.fill_buf()?;
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.inner.consume(count);
    }
}

/// The value of an attribute.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let mut found = attributes.with_checks(false).flatten();
    let found = found.find(|attribute| attribute.key.as_ref() == name);
    found.map(|attribute| attribute.value.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Texts(Vec<String>);

    impl Visitor for Texts {
        fn open(&mut self, _: &[String], _: &BytesStart<'_>) -> Result<(), Problem> {
            Ok(())
        }

        fn close(&mut self, path: &[String], text: String) -> Result<(), Problem> {
            self.0.push(format!("{}={text}", path.join("/")));
            Ok(())
        }
    }

    fn texts(document: &str) -> Result<Vec<String>, String> {
        let mut texts = Texts::default();
        match walk(document.as_bytes(), &mut texts) {
            Ok(()) => Ok(texts.0),
            Err(Problem::Broken(_, problem)) => Err(problem),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    #[test]
    fn references_are_read_and_others_stay() {
        let read =
            texts("<a><b>x &lt;b&gt; &amp;&#33; &nbsp; R&D</b><c><![CDATA[<i>&amp;]]></c></a>");
        assert_eq!(read.unwrap(), ["a/b=x <b> &!\u{20}&nbsp; R&D", "a/c=<i>&amp;", "a="]);
    }

    #[test]
    fn bombs_and_broken_files_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert!(texts(bomb).unwrap_err().contains("document type"));
        assert!(texts(&"<a>".repeat(100_000)).unwrap_err().contains("64 elements"));
        assert!(texts("<a><b>x").unwrap_err().contains("ends before"));
        assert!(texts("").unwrap_err().contains("ends before"));
        assert!(texts("<a><john@example.com></b></a>").unwrap_err().contains("do not match"));
        let latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>";
        assert!(texts(latin).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_piece_without_end_is_refused() {
        let mut texts = Texts::default();
        let endless = std::io::Cursor::new(b"<a>").chain(std::io::repeat(b'x'));
        let Err(Problem::Broken(_, problem)) = walk(endless, &mut texts) else { panic!("read") };
        assert!(problem.contains("more than"), "{problem}");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_kept() {
        let document = format!("<a>{}</a>", "ä".repeat(TEXT_BYTES_MAX));
        let read = texts(&document).unwrap();
        assert!(read[0].len() >= TEXT_BYTES_MAX && read[0].len() < TEXT_BYTES_MAX + 10);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = walk(&bytes[..], &mut Texts::default());
        }

        #[test]
        fn rubbish_with_tags_never_panics(text in "(<|>|/|a|&|;|!|\\[|CDATA|\\]|DOCTYPE|-|\\?|\"| )*") {
            let _ = walk(text.as_bytes(), &mut Texts::default());
        }
    }
}
