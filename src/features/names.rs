//! What features are called when a score is explained.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a word that are shown.
const VALUE_BYTES_MAX: usize = 64;

/// Told what the features that follow stand for. Serving without explanation uses `()`, for
/// which all of this is compiled away.
pub(super) trait Naming {
    /// Features from here on come from this thing, such as the word `casino`.
    fn origin(&mut self, kind: &'static str, value: &str);
    /// Features from here on come from two words that stand side by side.
    fn pair(&mut self, first: &str, second: &str);
    /// A new feature was counted.
    fn counted(&mut self);
}

impl Naming for () {
    #[inline(always)]
    fn origin(&mut self, _: &'static str, _: &str) {}

    #[inline(always)]
    fn pair(&mut self, _: &str, _: &str) {}

    #[inline(always)]
    fn counted(&mut self) {}
}

/// Readable names of the features of one comment, in the order of its vector.
///
/// Workload: one for each explained comment, 100–400 names for 1,000–3,000 features: the n-grams
/// of a word share its name. Reused without allocating anew.
#[derive(Debug, Clone, Default)]
pub struct Names {
    values: String,
    /// Kind, and where in `values` the value stands. Each name stands here once.
    origins: Vec<(&'static str, Range<usize>)>,
    /// Hash of kind and value to the position in `origins`.
    known: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// The position in `origins` for the features from here on.
    current: u32,
    /// For each feature the position of its origin.
    features: Vec<u32>,
}

impl Names {
    /// How many different names there are.
    pub fn count(&self) -> usize {
        self.origins.len()
    }

    /// Which name the feature at `position` of the vector has, below [`Names::count`].
    ///
    /// # Panics
    /// If the vector built with these names has no such position.
    #[inline]
    pub fn index_of(&self, position: usize) -> usize {
        self.features[position] as usize
    }

    /// Kind and value of a name, such as `word` and `casino`.
    ///
    /// # Panics
    /// If `index` is not below [`Names::count`].
    pub fn name(&self, index: usize) -> (&str, &str) {
        let (kind, value) = &self.origins[index];
        (kind, &self.values[value.clone()])
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.origins.clear();
        self.known.clear();
        self.features.clear();
    }

    /// Makes the value that stands at the end of `values`, from `start` on, the current name.
    fn settle(&mut self, kind: &'static str, start: usize) {
        let value = start..self.values.len();
        let seed = kind.as_bytes().iter().fold(0, |seed, byte| seed << 5 ^ u64::from(*byte));
        let hash = xxh3_64_with_seed(self.values[value.clone()].as_bytes(), seed);
        let next = self.origins.len() as u32;
        let known = *self.known.entry(hash).or_insert(next);
        let same =
            known != next && self.name(known as usize) == (kind, &self.values[value.clone()]);
        if same {
            self.values.truncate(start);
            self.current = known;
        } else {
            self.origins.push((kind, value));
            self.current = next;
        }
    }
}

impl Naming for &mut Names {
    fn origin(&mut self, kind: &'static str, value: &str) {
        let start = self.values.len();
        self.values.push_str(cut(value));
        self.settle(kind, start);
    }

    fn pair(&mut self, first: &str, second: &str) {
        let start = self.values.len();
        self.values.push_str(cut(first));
        self.values.push(' ');
        self.values.push_str(cut(second));
        self.settle("words", start);
    }

    #[inline]
    fn counted(&mut self) {
        self.features.push(self.current);
    }
}

/// The beginning of a value, as much as a person wants to see of 60 kB without a space.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// The hasher of keys that are hashes.
#[derive(Debug, Clone, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_stand_once() {
        let mut names = Names::default();
        let mut naming = &mut names;
        for (kind, value) in [("word", "casino"), ("host", "casino"), ("word", "casino")] {
            naming.origin(kind, value);
            naming.counted();
        }
        naming.pair("free", "casino");
        naming.counted();
        assert_eq!(names.count(), 3);
        let of = |position| names.name(names.index_of(position));
        assert_eq!(of(0), ("word", "casino"));
        assert_eq!(of(1), ("host", "casino"));
        assert_eq!(names.index_of(2), names.index_of(0));
        assert_eq!(of(3), ("words", "free casino"));
    }
}
