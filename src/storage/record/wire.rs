//! Writes records from the domain's own values: prost's messages would have each of the forty texts
//! of a record copied first. A test holds it to what prost writes.

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::domain::{BlindSubmission, EmailTraits, Honeypot, LogOdds};

/// The bytes of a record under construction.
pub(super) struct Wire(pub(super) Vec<u8>);

impl Wire {
    pub(super) fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    /// A text, unless it is empty.
    fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn optional(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(tag, text.as_bytes());
        }
    }

    /// A number without a sign, unless it is 0.
    fn number(&mut self, tag: u32, number: u32) {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint(u64::from(number), &mut self.0);
        }
    }

    /// A number with a sign, unless it is 0.
    fn signed(&mut self, tag: u32, number: i64) {
        self.optional_signed(tag, Some(number).filter(|number| *number != 0));
    }

    pub(super) fn optional_signed(&mut self, tag: u32, number: Option<i64>) {
        if let Some(number) = number {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint((number << 1 ^ number >> 63) as u64, &mut self.0);
        }
    }

    pub(super) fn double(&mut self, tag: u32, number: f64) {
        encode_key(tag, WireType::SixtyFourBit, &mut self.0);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A message, whose length is known and put before it when it is written.
    pub(super) fn message(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        let start = self.0.len();
        write(self);
        let length = (self.0.len() - start) as u64;
        let end = self.0.len();
        encode_varint(length, &mut self.0);
        let width = self.0.len() - end;
        self.0[start..].rotate_right(width);
    }

    pub(super) fn part(&mut self, tag: u32, name: &str, weight: LogOdds, text: &str) {
        self.message(tag, |wire| {
            wire.text(1, name);
            wire.signed(2, weight.steps());
            wire.text(3, text);
        });
    }

    pub(super) fn submission(&mut self, submission: &BlindSubmission) {
        self.text(1, &submission.text);
        self.optional(2, submission.author.as_deref());
        if let Some(email) = &submission.email {
            self.message(3, |wire| wire.email(email));
        }
        self.optional(4, submission.url.as_deref());
        self.optional(5, submission.page_title.as_deref());
        if let Some(time) = submission.page_publish_time {
            self.message(6, |wire| {
                wire.signed(1, time.unix_timestamp());
                wire.number(2, time.nanosecond());
            });
        }
        self.number(7, submission.page_closed.into());
        self.optional(8, submission.parent_comment.as_deref());
        let honeypot = match submission.honeypot {
            Honeypot::Absent => 0,
            Honeypot::Empty => 1,
            Honeypot::Filled => 2,
        };
        self.number(9, honeypot);
        self.optional_signed(10, submission.elapsed_ms);
        self.number(11, submission.masked_address_count);
        if let Some(seed) = &submission.avatar_seed {
            self.bytes(12, seed.as_bytes());
        }
        self.number(13, submission.url_unreadable.into());
    }

    fn email(&mut self, email: &EmailTraits) {
        self.bytes(1, email.fingerprint.as_bytes());
        self.text(2, &email.domain);
        self.text(3, &email.masked);
        self.number(4, email.shape.length);
        self.number(5, email.shape.digit_count);
        self.number(6, email.shape.dot_count);
        self.number(7, email.shape.tagged.into());
        self.number(8, email.shape.matches_author.into());
        self.number(9, email.role.into());
        self.number(10, email.disposable.into());
    }
}
