//! Comments of WordPress: what its fields mean, and its export (WXR).

use std::io::Read;

use quick_xml::events::BytesStart;

use super::comment::{
    ForeignComment, LeftOut, Opinions, Problem, Sink, Standing, filled, first_date,
};
use super::xml::{self, Visitor};
use crate::domain::{Example, Label};

/// A comment's fields as WordPress names them.
#[derive(Default)]
pub(super) struct Fields {
    pub comment_id: String,
    pub comment_author: String,
    pub comment_author_email: String,
    pub comment_author_url: String,
    pub comment_author_ip: String,
    pub comment_agent: String,
    pub comment_date: String,
    pub comment_date_gmt: String,
    pub comment_content: String,
    pub comment_approved: String,
    pub comment_type: String,
    pub page_title: String,
    pub page_uri: String,
    pub lang: String,
}

impl Fields {
    /// The field of this name, in any case.
    pub fn named(&mut self, name: &str) -> Option<&mut String> {
        Some(match name.to_ascii_lowercase().as_str() {
            "comment_id" => &mut self.comment_id,
            "comment_author" => &mut self.comment_author,
            "comment_author_email" => &mut self.comment_author_email,
            "comment_author_url" => &mut self.comment_author_url,
            "comment_author_ip" => &mut self.comment_author_ip,
            "comment_agent" => &mut self.comment_agent,
            "comment_date" => &mut self.comment_date,
            "comment_date_gmt" => &mut self.comment_date_gmt,
            "comment_content" => &mut self.comment_content,
            "comment_approved" => &mut self.comment_approved,
            "comment_type" => &mut self.comment_type,
            _ => return None,
        })
    }

    /// The comment with what was said about it so far.
    pub fn comment(self, opinions: Opinions) -> ForeignComment {
        let standing = self.standing();
        let example = Example {
            text: as_typed(self.comment_content),
            author: filled(unescaped(self.comment_author)),
            email: filled(self.comment_author_email),
            url: filled(self.comment_author_url),
            ip: filled(self.comment_author_ip),
            user_agent: filled(self.comment_agent),
            date: first_date([self.comment_date_gmt.as_str(), self.comment_date.as_str()]),
            page_title: filled(self.page_title),
            page_uri: filled(self.page_uri),
            lang: filled(self.lang),
            ..Example::default()
        };
        let id = self.comment_id.trim().parse().ok();
        ForeignComment { id, example, standing, opinions }
    }

    fn standing(&self) -> Standing {
        match self.comment_type.trim() {
            "" | "comment" | "review" => {}
            "pingback" | "trackback" => return Standing::Out(LeftOut::Pingback),
            _ => return Standing::Out(LeftOut::OtherKind),
        }
        match self.comment_approved.trim() {
            "1" | "approve" | "approved" => Standing::As(Label::Ham),
            "spam" => Standing::As(Label::Spam),
            "0" | "hold" => Standing::Out(LeftOut::Pending),
            "trash" | "post-trashed" => Standing::Out(LeftOut::Trash),
            _ => Standing::Out(LeftOut::OtherState),
        }
    }
}

/// The text as its author typed it: WordPress stores it with links marked and signs escaped.
pub(super) fn as_typed(stored: String) -> String {
    let marks = [(" rel=\"nofollow ugc\"", ""), (" rel=\"nofollow\"", "")];
    unescaped(marks.into_iter().fold(stored, change))
}

/// A name as its author typed it: WordPress stores it with signs escaped, too.
pub(super) fn unescaped(stored: String) -> String {
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    signs.into_iter().fold(stored, change)
}

fn change(text: String, (from, to): (&str, &str)) -> String {
    match text.contains(from) {
        true => text.replace(from, to),
        false => text,
    }
}

/// Reads an export.
pub(super) fn read_wxr(bytes: impl Read, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut export = Export {
        sink,
        lang: String::new(),
        title: String::new(),
        link: String::new(),
        fields: Fields::default(),
        opinions: Opinions::default(),
        meta_key: String::new(),
        meta_value: String::new(),
    };
    xml::walk(bytes, &mut export)
}

struct Export<'a> {
    sink: &'a mut dyn Sink,
    lang: String,
    /// Of the page.
    title: String,
    link: String,
    fields: Fields,
    opinions: Opinions,
    meta_key: String,
    meta_value: String,
}

impl Visitor for Export<'_> {
    fn open(&mut self, path: &[String], _: &BytesStart<'_>) -> Result<(), Problem> {
        match path.last().map(String::as_str) {
            Some("item") => (self.title.clear(), self.link.clear()),
            Some("wp:comment") => {
                self.fields = Fields {
                    page_title: self.title.clone(),
                    page_uri: self.link.clone(),
                    lang: self.lang.clone(),
                    ..Fields::default()
                };
                (self.opinions = Opinions::default(), ())
            }
            Some("wp:commentmeta") => (self.meta_key.clear(), self.meta_value.clear()),
            _ => return Ok(()),
        };
        Ok(())
    }

    fn close(&mut self, path: &[String], text: String) -> Result<(), Problem> {
        let mut names = path.iter().rev().map(String::as_str);
        let (name, parent) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        match (parent, name) {
            ("channel", "language") => self.lang = text,
            ("item", "title") => self.title = text,
            ("item", "link") => self.link = text.trim().to_owned(),
            ("wp:commentmeta", "wp:meta_key") => self.meta_key = text,
            ("wp:commentmeta", "wp:meta_value") => self.meta_value = text,
            (_, "wp:commentmeta") => {
                self.opinions.read(self.meta_key.trim(), &self.meta_value);
            }
            (_, "wp:comment") => {
                let fields = std::mem::take(&mut self.fields);
                self.sink.comment(fields.comment(self.opinions))?;
            }
            ("wp:comment", name) => {
                let field = name.strip_prefix("wp:").and_then(|name| self.fields.named(name));
                if let Some(field) = field {
                    *field = text;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::comment::tests::Found;
    use super::*;

    const EXPORT: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!-- This is a WordPress eXtended RSS file -->
<rss version="2.0" xmlns:wp="http://wordpress.org/export/1.2/"><channel>
<title>The bread blog</title><language>de-DE</language>
<item><title><![CDATA[Rye & water]]></title><link>https://bread.example/rye/</link>
<wp:comment><wp:comment_id>7</wp:comment_id>
<wp:comment_author><![CDATA[Tom &amp; Jerry]]></wp:comment_author>
<wp:comment_author_email><![CDATA[ann@example.org]]></wp:comment_author_email>
<wp:comment_author_url></wp:comment_author_url>
<wp:comment_author_IP><![CDATA[192.0.2.7]]></wp:comment_author_IP>
<wp:comment_date_gmt><![CDATA[2026-01-02 03:04:05]]></wp:comment_date_gmt>
<wp:comment_content><![CDATA[How long does the dough rest? <em>Please</em> ]]]]><![CDATA[> answer]]></wp:comment_content>
<wp:comment_approved><![CDATA[1]]></wp:comment_approved><wp:comment_type><![CDATA[comment]]></wp:comment_type>
<wp:commentmeta><wp:meta_key><![CDATA[akismet_result]]></wp:meta_key><wp:meta_value><![CDATA[true]]></wp:meta_value></wp:commentmeta>
<wp:commentmeta><wp:meta_key><![CDATA[akismet_user_result]]></wp:meta_key><wp:meta_value><![CDATA[false]]></wp:meta_value></wp:commentmeta>
</wp:comment>
<wp:comment><wp:comment_id>8</wp:comment_id><wp:comment_content>A link from elsewhere</wp:comment_content>
<wp:comment_approved>1</wp:comment_approved><wp:comment_type>pingback</wp:comment_type></wp:comment>
<wp:comment><wp:comment_id>9</wp:comment_id><wp:comment_content>I wait</wp:comment_content>
<wp:comment_approved>0</wp:comment_approved></wp:comment>
</item></channel></rss>"#;

    #[test]
    fn an_export_is_read() {
        let mut found = Found::default();
        read_wxr(EXPORT.as_bytes(), &mut found).unwrap();
        let [first, pingback, pending] = &found.comments[..] else { panic!("three comments") };
        assert_eq!(first.example.text, "How long does the dough rest? <em>Please</em> ]]> answer");
        assert_eq!(first.example.author.as_deref(), Some("Tom & Jerry"));
        assert_eq!(first.example.page_title.as_deref(), Some("Rye & water"));
        assert_eq!(first.example.page_uri.as_deref(), Some("https://bread.example/rye/"));
        assert_eq!(first.example.lang.as_deref(), Some("de-DE"));
        assert_eq!(first.example.ip.as_deref(), Some("192.0.2.7"));
        assert_eq!(first.example.url, None);
        assert_eq!(first.example.time().map(|time| time.unix_timestamp()), Some(1_767_323_045));
        assert_eq!(first.standing, Standing::As(Label::Ham));
        let said = Opinions { person: Some(Label::Ham), akismet: Some(Label::Spam) };
        assert_eq!(first.opinions, said);
        assert_eq!(pingback.standing, Standing::Out(LeftOut::Pingback));
        assert_eq!(pending.standing, Standing::Out(LeftOut::Pending));
        assert_eq!(pending.opinions, Opinions::default());
    }

    #[test]
    fn what_wordpress_adds_is_taken_off() {
        let stored = "R&amp;D &lt;3 <a href=\"https://a.example\" rel=\"nofollow ugc\">here</a>";
        let typed = "R&D <3 <a href=\"https://a.example\">here</a>";
        assert_eq!(as_typed(stored.into()), typed);
        assert_eq!(as_typed("&amp;lt;".into()), "&lt;");
    }

    #[test]
    fn half_an_export_is_refused() {
        let half = &EXPORT[..EXPORT.len() / 2];
        let problem = read_wxr(half.as_bytes(), &mut Found::default()).unwrap_err();
        assert!(matches!(problem, Problem::Broken(..)));
    }
}
