//! A browser without scripts: it keeps cookies, follows nothing by itself, and posts forms.

use std::collections::BTreeMap;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::form_urlencoded;

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `Set-Cookie` line of a cookie.
    pub fn cookie_line(&self, name: &str) -> &str {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
        found.next().unwrap_or_else(|| panic!("no cookie {name}"))
    }

    /// The hidden field of the first form.
    pub fn form_token(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"form_token\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A person with a browser.
#[derive(Clone)]
pub struct Visitor {
    address: String,
    pub cookies: BTreeMap<String, String>,
    pub extra: Vec<(HeaderName, HeaderValue)>,
}

impl Visitor {
    /// A fresh browser for the HTTP port at `address`.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), cookies: BTreeMap::new(), extra: Vec::new() }
    }

    /// The same browser after the service has another address.
    pub fn moved(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// Sends a header with each request from now on.
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.extra.push((HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        self
    }

    /// Loads a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Posts fields as they are.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            form.append_pair(name, value);
        }
        self.send(Method::POST, path, Some(form.finish())).await
    }

    /// Loads the page `from`, fills its form and posts it to `path`.
    pub async fn submit(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.get(from).await.form_token();
        let mut all = vec![("form_token", token.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all).await
    }

    /// Signs in.
    pub async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let fields = [("name", name), ("password", password)];
        self.submit("/console/log-in", "/console/log-in", &fields).await
    }

    /// Sets the password that an invitation asks for, which signs in.
    pub async fn accept(&mut self, link: &str, password: &str) -> Answer {
        let path = path_of(link);
        let fields = [("password", password), ("repeated", password)];
        self.submit(&path, &path, &fields).await
    }

    /// Sends any request.
    pub async fn send(&mut self, method: Method, path: &str, form: Option<String>) -> Answer {
        let stream = TcpStream::connect(&self.address).await.expect("the HTTP port");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        if !self.cookies.is_empty() {
            let pairs: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in &self.extra {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(bytes::Bytes::from(form.unwrap_or_default()))).unwrap();
        let response: hyper::Response<hyper::body::Incoming> =
            sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        self.keep_cookies(&parts.headers);
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for line in headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The path of a link.
pub fn path_of(link: &str) -> String {
    let (_, rest) = link.split_once("://").expect("a link");
    format!("/{}", rest.split_once('/').expect("a path").1)
}
