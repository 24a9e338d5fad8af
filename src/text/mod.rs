//! What a text says and how it is written, found once for each submission.
//!
//! Pure functions of the text: no clock, no I/O, no chance. [`hide()`] takes the addresses out
//! of a submission, [`Analysis`] then looks at what is left, and everything after it (features,
//! checks, policy) works on the analysis. All work is linear in the length of the text, however
//! hostile it is.

mod address;
mod analysis;
mod chars;
mod confusables;
mod counts;
mod cut;
mod hide;
mod ip;
mod language;
mod links;
mod normalize;
mod print;
#[cfg(test)]
pub(crate) mod testing;

pub use address::{find_addresses, mask_addresses};
pub use analysis::Analysis;
pub use chars::is_spaced_letter;
pub use confusables::without_accent;
pub use counts::{Counts, ScriptTally};
pub use cut::cut;
pub use hide::hide;
pub use ip::mask_every_ip;
pub use language::language;
pub use links::{Link, LinkKind, find_links};
pub use normalize::{Disguise, Normalized, Token, normalize};
