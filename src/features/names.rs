//! What features are called when a score is explained.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a word that are shown.
const VALUE_BYTES_MAX: usize = 64;

/// Told what the features that follow stand for. Serving without explanation uses `()`, for
/// which all of this is compiled away. `position` is how many features the comment has so far.
pub(super) trait Naming {
    /// Features from here on come from this thing, such as the word `casino`.
    fn origin(&mut self, kind: &'static str, value: &str, position: usize);
    /// Features from here on come from two words that stand side by side.
    fn pair(&mut self, first: &str, second: &str, position: usize);
    /// There are no more features than `position`.
    fn finish(&mut self, position: usize);
}

impl Naming for () {
    #[inline(always)]
    fn origin(&mut self, _: &'static str, _: &str, _: usize) {}

    #[inline(always)]
    fn pair(&mut self, _: &str, _: &str, _: usize) {}

    #[inline(always)]
    fn finish(&mut self, _: usize) {}
}

/// Readable names of the features of one comment, in the order of its vector.
///
/// Workload: one for each explained comment, 100–400 names for 1,000–3,000 features: the n-grams
/// of a word share its name. Reused without allocating anew. A name is looked up only once it is
/// known that new features came from it: the second `the` of a comment has none.
#[derive(Debug, Clone, Default)]
pub struct Names {
    values: String,
    /// Kind, and where in `values` the value stands. Each name stands here once.
    origins: Vec<(&'static str, Range<usize>)>,
    /// Hash of kind and value to the position in `origins`.
    known: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// The name that was told last: its kind, where in `values` it begins, and its first feature.
    told: Option<(&'static str, usize, usize)>,
    /// Features side by side that have one name.
    runs: Vec<NameRun>,
}

/// The features from the end of the run before to `end`, and the position of their origin.
#[derive(Debug, Clone, Copy)]
struct NameRun {
    origin: u32,
    end: usize,
}

impl Names {
    /// How many different names there are.
    pub fn count(&self) -> usize {
        self.origins.len()
    }

    /// The features in order, as runs of one name each: the name's index, below [`Names::count`],
    /// and the positions in the vector. Every feature is in one run; a name may have several.
    #[inline]
    pub fn runs(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let mut start = 0;
        self.runs.iter().map(move |run| {
            let positions = start..run.end;
            start = run.end;
            (run.origin as usize, positions)
        })
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
        self.told = None;
        self.runs.clear();
    }

    /// Gives the name that was told last to the features up to `position`.
    fn settle(&mut self, position: usize) {
        let Some((kind, start, first)) = self.told.take() else { return };
        if first == position {
            self.values.truncate(start);
            return;
        }
        let origin = self.origin_of(kind, start);
        self.runs.push(NameRun { origin, end: position });
    }

    /// The position in `origins` of the value that stands at the end of `values`, from `start` on.
    fn origin_of(&mut self, kind: &'static str, start: usize) -> u32 {
        let value = start..self.values.len();
        let seed = kind.as_bytes().iter().fold(0, |seed, byte| seed << 5 ^ u64::from(*byte));
        let hash = xxh3_64_with_seed(self.values[value.clone()].as_bytes(), seed);
        let next = self.origins.len() as u32;
        let known = *self.known.entry(hash).or_insert(next);
        let same =
            known != next && self.name(known as usize) == (kind, &self.values[value.clone()]);
        if same {
            self.values.truncate(start);
            known
        } else {
            self.origins.push((kind, value));
            next
        }
    }
}

impl Naming for &mut Names {
    fn origin(&mut self, kind: &'static str, value: &str, position: usize) {
        self.settle(position);
        self.told = Some((kind, self.values.len(), position));
        self.values.push_str(cut(value));
    }

    fn pair(&mut self, first: &str, second: &str, position: usize) {
        self.settle(position);
        self.told = Some(("words", self.values.len(), position));
        self.values.push_str(cut(first));
        self.values.push(' ');
        self.values.push_str(cut(second));
    }

    fn finish(&mut self, position: usize) {
        self.settle(position);
    }
}

/// The beginning of a value, as much as a person wants to see of 60 kB without a space.
pub(super) fn cut(value: &str) -> &str {
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
        for (position, (kind, value)) in
            [("word", "casino"), ("host", "casino"), ("word", "casino")].iter().enumerate()
        {
            naming.origin(kind, value, position);
        }
        naming.pair("free", "casino", 3);
        naming.origin("word", "nothing new", 5);
        naming.finish(5);
        assert_eq!(names.count(), 3);
        let found: Vec<_> = names.runs().map(|(name, run)| (names.name(name), run)).collect();
        assert_eq!(
            found,
            [
                (("word", "casino"), 0..1),
                (("host", "casino"), 1..2),
                (("word", "casino"), 2..3),
                (("words", "free casino"), 3..5),
            ]
        );
    }
}
