//! The export of Disqus: pages, then their comments.

use std::collections::HashMap;
use std::io::Read;

use quick_xml::events::BytesStart;

use super::comment::{ForeignComment, LeftOut, Opinions, Problem, Sink, Standing, date, filled};
use super::markup;
use super::xml::{self, Visitor, attribute};
use crate::domain::{Example, Label};

/// Pages whose address and title are kept, about 200 bytes each; comments on others come without.
const PAGE_COUNT_MAX: usize = 200_000;
/// Bytes of an address or a title; a submission takes no longer ones.
const PAGE_BYTES_MAX: usize = 2_048;

/// Reads an export.
pub(super) fn read(bytes: impl Read, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut export =
        Export { sink, pages: HashMap::new(), page: Page::default(), post: Post::default() };
    xml::walk(bytes, &mut export)
}

struct Export<'a> {
    sink: &'a mut dyn Sink,
    pages: HashMap<String, Page>,
    page: Page,
    post: Post,
}

#[derive(Default, Clone)]
struct Page {
    id: String,
    link: String,
    title: String,
}

#[derive(Default)]
struct Post {
    page: Option<String>,
    message: String,
    created: String,
    name: String,
    email: String,
    ip: String,
    deleted: bool,
    spam: bool,
    approved: Option<bool>,
}

impl Visitor for Export<'_> {
    fn open(&mut self, path: &[String], element: &BytesStart<'_>) -> Result<(), Problem> {
        let id = || attribute(element, "dsq:id").filter(|id| id.len() <= 64);
        match path {
            [_, name] if name == "thread" => {
                self.page = Page { id: id().unwrap_or_default(), ..Page::default() };
            }
            [_, name] if name == "post" => self.post = Post::default(),
            [_, post, name] if post == "post" && name == "thread" => self.post.page = id(),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, path: &[String], text: String) -> Result<(), Problem> {
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let is = |text: &str| text.trim() == "true";
        match path[..] {
            ["thread", "link"] if text.len() <= PAGE_BYTES_MAX => self.page.link = text,
            ["thread", "title"] if text.len() <= PAGE_BYTES_MAX => self.page.title = text,
            ["thread"] if self.pages.len() < PAGE_COUNT_MAX && !self.page.id.is_empty() => {
                let page = std::mem::take(&mut self.page);
                self.pages.insert(page.id.clone(), page);
            }
            ["post", "message"] => self.post.message = text,
            ["post", "createdAt"] => self.post.created = text,
            ["post", "ipAddress"] => self.post.ip = text,
            ["post", "isDeleted"] => self.post.deleted = is(&text),
            ["post", "isSpam"] => self.post.spam = is(&text),
            ["post", "isApproved"] => self.post.approved = Some(is(&text)),
            ["post", "author", "name"] => self.post.name = text,
            ["post", "author", "email"] => self.post.email = text,
            ["post"] => {
                let comment = std::mem::take(&mut self.post).comment(&self.pages);
                self.sink.comment(comment)?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Post {
    fn comment(self, pages: &HashMap<String, Page>) -> ForeignComment {
        // Spam that was deleted is spam still: a person or Disqus said so.
        let standing = match (self.spam, self.deleted, self.approved) {
            (true, ..) => Standing::As(Label::Spam),
            (_, true, _) => Standing::Out(LeftOut::Deleted),
            (.., Some(false)) => Standing::Out(LeftOut::Pending),
            _ => Standing::As(Label::Ham),
        };
        let page = self.page.and_then(|id| pages.get(&id));
        let example = Example {
            text: markup::text(&self.message),
            author: filled(self.name),
            email: filled(self.email),
            ip: filled(self.ip),
            date: date(&self.created),
            page_title: page.and_then(|page| filled(page.title.clone())),
            page_uri: page.and_then(|page| filled(page.link.clone())),
            ..Example::default()
        };
        ForeignComment { id: None, example, standing, opinions: Opinions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::comment::tests::Found;
    use super::*;

    #[test]
    fn an_export_is_read() {
        let export = r#"<?xml version="1.0" encoding="utf-8"?>
<disqus xmlns="http://disqus.com" xmlns:dsq="http://disqus.com/disqus-internals">
<category dsq:id="1"><title>General</title></category>
<thread dsq:id="11"><id>rye</id><link>https://bread.example/rye/</link><title>Rye</title>
<author><name>Owner</name></author></thread>
<post dsq:id="21"><message><![CDATA[<p>Which <b>flour</b> is best?</p>]]></message>
<createdAt>2026-01-02T03:04:05Z</createdAt><isDeleted>false</isDeleted><isSpam>false</isSpam>
<author><name>Ann</name><isAnonymous>false</isAnonymous></author><thread dsq:id="11"/></post>
<post dsq:id="22"><message><![CDATA[Buy starters]]></message><isDeleted>true</isDeleted><isSpam>true</isSpam>
<thread dsq:id="12"/></post>
<post dsq:id="23"><message>Gone</message><isDeleted>true</isDeleted><isSpam>false</isSpam></post>
</disqus>"#;
        let mut found = Found::default();
        read(export.as_bytes(), &mut found).unwrap();
        let [first, spam, gone] = &found.comments[..] else { panic!("three comments") };
        assert_eq!(first.example.text, "Which flour is best?");
        assert_eq!(first.example.author.as_deref(), Some("Ann"));
        assert_eq!(first.example.page_title.as_deref(), Some("Rye"));
        assert!(first.example.time().is_some());
        assert_eq!(first.standing, Standing::As(Label::Ham));
        assert_eq!((spam.standing, &spam.example.page_uri), (Standing::As(Label::Spam), &None));
        assert_eq!(gone.standing, Standing::Out(LeftOut::Deleted));
    }
}
