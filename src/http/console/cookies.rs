//! Cookies: who may read them, where they go, how long they last.

use axum::http::{HeaderMap, HeaderValue, header};

use super::{CONSOLE_PATH, Console};

/// The session's token.
pub(super) const SESSION: &str = "replyguard_session";
/// A token for the forms of people who are not signed in.
pub(super) const VISIT: &str = "replyguard_visit";
/// What the page after a POST says.
pub(super) const FLASH: &str = "replyguard_flash";

/// The value of a cookie. Of two with one name, the first counts, as browsers order them.
pub(super) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// A cookie that scripts cannot read and other sites cannot send along, until the browser closes
/// or for `seconds`.
pub(super) fn set(console: &Console, name: &str, value: &str, seconds: Option<u64>) -> HeaderValue {
    let mut text = format!("{name}={value}; Path={CONSOLE_PATH}; HttpOnly; SameSite=Lax");
    if let Some(seconds) = seconds {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    if console.is_https() {
        text.push_str("; Secure");
    }
    HeaderValue::from_str(&text).expect("names and values are visible ASCII")
}

/// Removes a cookie.
pub(super) fn remove(console: &Console, name: &str) -> HeaderValue {
    set(console, name, "", Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("xa=1; a=2;a=3; b"));
        assert_eq!(read(&headers, "a"), Some("2"));
        assert_eq!(read(&headers, "xa"), Some("1"));
        assert_eq!(read(&headers, "b"), None);
    }
}
