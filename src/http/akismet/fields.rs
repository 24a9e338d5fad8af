//! What a client sent: a form in all the ways in which clients write one.

use url::form_urlencoded;

/// Names and values in their order; a name may come several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields of a query or a body. A field without `=` is empty; bytes that are no UTF-8
    /// are replaced.
    pub fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Names and values in turn.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()])
    }

    /// The value of a name, the last if there are several; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The same; nothing if there is none.
    pub fn find(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().rev();
        values.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first of some names that has a value.
    pub fn first<'a>(&'a self, names: &[&str]) -> &'a str {
        let mut values = names.iter().map(|name| self.get(name).trim());
        values.find(|value| !value.is_empty()).unwrap_or_default()
    }

    /// The values of a list: `name=`, `name[]=`, `name[0]=`, with commas between them or not.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_list = move |known: &str| {
            let rest = known.strip_prefix(name)?;
            let index = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            (rest.is_empty()
                || index.is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit())))
            .then_some(())
        };
        let values = self.0.iter().filter(move |(known, _)| of_list(known).is_some());
        let parts = values.flat_map(|(_, value)| value.split(','));
        parts.map(str::trim).filter(|value| !value.is_empty())
    }

    /// Whether a flag is set: there, and not a word for no.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.get(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "false" | "no")
    }
}

/// Takes away the backslashes that WordPress puts in front of quotation marks and backslashes, if
/// every quotation mark has one. What no client of WordPress escaped stays as it is.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    let mut escape_count = 0;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(next @ ('\\' | '"' | '\'')) => {
                    escape_count += 1;
                    out.push(next);
                }
                // A lone one: nobody escaped this.
                _ => return text.to_owned(),
            },
            '"' | '\'' => return text.to_owned(),
            other => out.push(other),
        }
    }
    if escape_count == 0 { text.to_owned() } else { out }
}

/// Takes back what WordPress does to a comment when it saves it, so that one that is asked about
/// again is known: links get a `rel`, and `&`, `<` and `>` become entities.
pub(super) fn as_written(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(end);
        out.push_str(before);
        push_without_rel(&mut out, tag);
        rest = after;
    }
    out.push_str(rest);
    // The ampersand last: `&amp;lt;` was `&lt;`.
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A tag; a link's without the attribute `rel`.
fn push_without_rel(out: &mut String, tag: &str) {
    let lower = tag.to_ascii_lowercase();
    let rel = lower.find(" rel=").filter(|_| lower.starts_with("<a "));
    let Some(start) = rel else { return out.push_str(tag) };
    let value = &tag[start + " rel=".len()..];
    let end = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|end| end + 2),
        _ => value.find([' ', '>']),
    };
    out.push_str(&tag[..start]);
    out.push_str(end.map_or("", |end| &value[end..]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_read_as_clients_write_them() {
        let fields = Fields::parse(
            b"user_role&blog=http%3A%2F%2Fa.example%2F&a=1&a=2&is_test=False&comment_content=a+b%26\
              &comment_context[0]=x&comment_context[]=y,z&comment_context=w&bad=%ff%",
        );
        assert_eq!(fields.find("user_role"), Some(""));
        assert_eq!(fields.get("blog"), "http://a.example/");
        assert_eq!(fields.get("a"), "2");
        assert_eq!(fields.get("comment_content"), "a b&");
        assert!(!fields.flag("is_test") && !fields.flag("none") && fields.flag("a"));
        assert_eq!(fields.list("comment_context").collect::<Vec<_>>(), ["x", "y", "z", "w"]);
        assert_eq!(fields.get("bad"), "\u{fffd}%");
        assert_eq!(fields.first(&["none", "user_role", "a"]), "2");
    }

    #[test]
    fn wordpress_escapes_are_taken_away_and_nothing_else_is() {
        assert_eq!(unescaped(r#"It\'s \"so\" \\ said"#), r#"It's "so" \ said"#);
        for plain in [r"C:\Users", r#"He said "no""#, "nothing", r"half \'way' there", "\\"] {
            assert_eq!(unescaped(plain), plain);
        }
    }

    #[test]
    fn what_wordpress_adds_when_it_saves_is_taken_back() {
        for (saved, written) in [
            ("1 &lt; 2 &amp; 3 &gt; 2", "1 < 2 & 3 > 2"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            (r#"<A href="x" rel="nofollow ugc">y</a> z"#, r#"<A href="x">y</a> z"#),
            (r"<a rel='ugc' href='x'>y</a>", "<a href='x'>y</a>"),
            ("<a rel=ugc>y</a> <b rel=ugc>", "<a>y</a> <b rel=ugc>"),
            (r#"<a href="x" rel="broken"#, r#"<a href="x""#),
            ("a <a rel=", "a <a"),
            ("a < b > c <", "a < b > c <"),
        ] {
            assert_eq!(as_written(saved), written, "{saved}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_read_and_escapes_come_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "[a-z '\"\\\\]{0,30}",
            tags in "(<a |<| rel=|\"|'|>|é|&amp;|&lt;| x){0,12}",
        ) {
            let _ = as_written(&tags);
            let fields = Fields::parse(&bytes);
            let _ = (fields.flag("a"), fields.list("a").count());
            let escaped: String = text
                .chars()
                .flat_map(|c| matches!(c, '\'' | '"' | '\\').then_some('\\').into_iter().chain([c]))
                .collect();
            prop_assert_eq!(unescaped(&escaped), text);
        }
    }
}
