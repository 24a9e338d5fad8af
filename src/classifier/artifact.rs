//! Models as bytes: `*.rgmodel`.
//!
//! ```text
//! magic      8 bytes   "RGMODEL\0"
//! version    u32       of this layout, little-endian as all numbers here
//! header     u32       its length
//! total      u64       length of the whole, to tell cut off from corrupt
//! header     JSON      see `Header`
//! sections             one for each head, in order: its weights
//! checksum   32 bytes  BLAKE3 of all before
//! ```
//!
//! A section is dense (16-bit floats, one a bucket) or sparse (a bit a bucket, then the floats of
//! those that are set), whichever is smaller. Files and their names belong to the callers.

use std::sync::Arc;

use half::f16;
use serde::{Deserialize, Serialize};

use super::{BudgetTable, Calibration, Head, Model, TrainingSummary};
use crate::domain::LogOdds;
use crate::features::{BUCKET_COUNT, FEATURE_DEFINITION};

/// The version of the layout that this program writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"RGMODEL\0";
const PREAMBLE_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 32;
/// A header of a model with a thousand sources has 100 kB.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// Heads are questions such as `spam`; a handful is foreseen.
const HEAD_COUNT_MAX: usize = 16;
/// The largest weight: 2,048 log-odds alone would decide anything, and 16-bit floats end at
/// 65,504.
const WEIGHT_MAX: f32 = 2_048.0;

/// Why bytes are not a usable model.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Something else.
    #[error("this is not a replyguard model")]
    Foreign,
    /// The end is missing.
    #[error("the model is cut off: {actual} of {expected} bytes are there")]
    Truncated {
        /// Bytes there are.
        actual: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// A later program wrote it.
    #[error("the model has layout {0}; this program reads up to {FORMAT_VERSION}")]
    Newer(u32),
    /// The checksum or a part is wrong.
    #[error("the model is corrupt: {0}")]
    Corrupt(String),
    /// It weighs features that this program builds differently.
    #[error(
        "the model was trained with the feature definition {found}; this program builds \
         {FEATURE_DEFINITION}: train it again"
    )]
    FeatureDefinition {
        /// The model's definition.
        found: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    name: String,
    feature_definition: String,
    bucket_count: u32,
    heads: Vec<HeadHeader>,
    training: TrainingSummary,
}

#[derive(Serialize, Deserialize)]
struct HeadHeader {
    name: String,
    /// In steps of [`LogOdds`].
    bias: i64,
    calibration: Calibration,
    budget: BudgetTable,
    encoding: Encoding,
    byte_count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encoding {
    Dense,
    Sparse,
}

/// The weight nearest to `weight` that an artifact can hold.
pub(super) fn storable(weight: f64) -> f32 {
    f16::from_f32((weight as f32).clamp(-WEIGHT_MAX, WEIGHT_MAX)).to_f32()
}

impl Model {
    /// The model as bytes; equal models are equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sections: Vec<(Encoding, Vec<u8>)> =
            self.heads.iter().map(|head| encode(&head.weights)).collect();
        let heads = self.heads.iter().zip(&sections).map(|(head, (encoding, bytes))| HeadHeader {
            name: head.name.clone(),
            bias: head.bias.steps(),
            calibration: head.calibration,
            budget: head.budget.clone(),
            encoding: *encoding,
            byte_count: bytes.len() as u64,
        });
        let header = Header {
            name: self.name.clone(),
            feature_definition: self.feature_definition.clone(),
            bucket_count: self.bucket_count,
            heads: heads.collect(),
            training: self.summary.clone(),
        };
        let header = serde_json::to_vec(&header).expect("a header has only maps with text keys");
        let sections: Vec<u8> = sections.into_iter().flat_map(|(_, bytes)| bytes).collect();
        framed(&header, &sections)
    }

    /// The model with the version that its bytes give it.
    pub(super) fn versioned(mut self) -> Self {
        let bytes = self.to_bytes();
        self.version = version(&self.name, &bytes[bytes.len() - CHECKSUM_BYTES..]);
        self
    }

    /// The model that these bytes are.
    ///
    /// # Errors
    /// [`ArtifactError`]. It never panics, and never takes more memory than the bytes and one
    /// table of weights a head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let (header, sections, checksum) = open(bytes)?;
        let header: Header = serde_json::from_slice(header).map_err(|e| corrupt(e.to_string()))?;
        if header.feature_definition != FEATURE_DEFINITION {
            return Err(ArtifactError::FeatureDefinition { found: header.feature_definition });
        }
        if header.bucket_count != BUCKET_COUNT {
            return Err(corrupt(format!("it has {} buckets", header.bucket_count)));
        }
        if header.heads.is_empty() || header.heads.len() > HEAD_COUNT_MAX {
            return Err(corrupt(format!("it has {} heads", header.heads.len())));
        }
        let mut rest = sections;
        let mut heads = Vec::with_capacity(header.heads.len());
        for head in header.heads {
            let (section, after) = usize::try_from(head.byte_count)
                .ok()
                .and_then(|count| rest.split_at_checked(count))
                .ok_or_else(|| corrupt("a section ends after the model"))?;
            rest = after;
            heads.push(Head {
                weights: decode(head.encoding, section, header.bucket_count as usize)?,
                name: head.name,
                bias: LogOdds::from_steps(head.bias),
                calibration: head.calibration,
                budget: head.budget,
            });
        }
        if !rest.is_empty() {
            return Err(corrupt("there are bytes after the last section"));
        }
        Ok(Self {
            version: version(&header.name, checksum),
            name: header.name,
            feature_definition: header.feature_definition,
            bucket_count: header.bucket_count,
            heads,
            summary: header.training,
        })
    }
}

/// An artifact of these parts: with lengths and checksum that fit.
pub(crate) fn framed(header: &[u8], sections: &[u8]) -> Vec<u8> {
    let total = PREAMBLE_BYTES + header.len() + sections.len() + CHECKSUM_BYTES;
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(total as u64).to_le_bytes());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(sections);
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// Name and the first 48 bits of the checksum.
fn version(name: &str, checksum: &[u8]) -> String {
    let hash: String = checksum[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{hash}")
}

fn corrupt(what: impl Into<String>) -> ArtifactError {
    ArtifactError::Corrupt(what.into())
}

/// Header, sections and checksum.
type Frame<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Checks the frame and gives its parts.
fn open(bytes: &[u8]) -> Result<Frame<'_>, ArtifactError> {
    if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) || bytes.is_empty() {
        return Err(ArtifactError::Foreign);
    }
    let number = |range: std::ops::Range<usize>| {
        let mut value = [0; 8];
        value[..range.len()].copy_from_slice(&bytes[range]);
        u64::from_le_bytes(value)
    };
    if bytes.len() < PREAMBLE_BYTES {
        let (actual, expected) = (bytes.len() as u64, PREAMBLE_BYTES as u64);
        return Err(ArtifactError::Truncated { actual, expected });
    }
    let format = number(8..12) as u32;
    if format > FORMAT_VERSION {
        return Err(ArtifactError::Newer(format));
    }
    let expected = number(16..24);
    let actual = bytes.len() as u64;
    if actual < expected {
        return Err(ArtifactError::Truncated { actual, expected });
    }
    let header_bytes = number(12..16) as usize;
    let fixed = PREAMBLE_BYTES + CHECKSUM_BYTES;
    if actual > expected || header_bytes > HEADER_BYTES_MAX || fixed + header_bytes > bytes.len() {
        return Err(corrupt("the lengths do not fit together"));
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if blake3::hash(content).as_bytes() != checksum {
        return Err(corrupt("the checksum differs"));
    }
    let (header, sections) = content[PREAMBLE_BYTES..].split_at(header_bytes);
    Ok((header, sections, checksum))
}

fn encode(weights: &[f32]) -> (Encoding, Vec<u8>) {
    let bits: Vec<u16> = weights.iter().map(|weight| f16::from_f32(*weight).to_bits()).collect();
    let set = |bits: &u16| f16::from_bits(*bits) != f16::ZERO;
    let set_count = bits.iter().filter(|bits| set(bits)).count();
    if weights.len() / 8 + 2 * set_count >= 2 * weights.len() {
        return (Encoding::Dense, bits.iter().flat_map(|bits| bits.to_le_bytes()).collect());
    }
    let mask = bits.chunks(8).map(|chunk| {
        chunk.iter().enumerate().fold(0u8, |mask, (bit, bits)| mask | u8::from(set(bits)) << bit)
    });
    let values = bits.iter().filter(|bits| set(bits)).flat_map(|bits| bits.to_le_bytes());
    (Encoding::Sparse, mask.chain(values).collect())
}

fn decode(encoding: Encoding, bytes: &[u8], count: usize) -> Result<Arc<[f32]>, ArtifactError> {
    let misfit = || corrupt("a section has the wrong length");
    let float = |pair: &[u8]| f16::from_le_bytes([pair[0], pair[1]]).to_f32();
    let weights: Arc<[f32]> = match encoding {
        Encoding::Dense if bytes.len() == 2 * count => bytes.chunks_exact(2).map(float).collect(),
        Encoding::Dense => return Err(misfit()),
        Encoding::Sparse => {
            let (mask, values) = bytes.split_at_checked(count.div_ceil(8)).ok_or_else(misfit)?;
            let set_count: usize = mask.iter().map(|byte| byte.count_ones() as usize).sum();
            if values.len() != 2 * set_count {
                return Err(misfit());
            }
            let mut values = values.chunks_exact(2).map(float);
            let set = |bucket: usize| mask[bucket / 8] >> (bucket % 8) & 1 == 1;
            let value = |bucket| if set(bucket) { values.next().unwrap_or(0.0) } else { 0.0 };
            (0..count).map(value).collect()
        }
    };
    match weights.iter().all(|weight| weight.abs() <= WEIGHT_MAX) {
        true => Ok(weights),
        false => Err(corrupt("a weight is out of range")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// A model with a share of weights set.
    pub(in crate::classifier) fn random_model(share: f64) -> Model {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut weight = || match chance.gen_bool(share) {
            true => storable(chance.gen_range(-3.0..3.0)),
            false => 0.0,
        };
        let head = Head {
            name: "spam".into(),
            weights: (0..BUCKET_COUNT).map(|_| weight()).collect(),
            bias: LogOdds::from_f64(-1.25),
            calibration: Calibration { slope: 1.1, intercept: -0.3 },
            budget: BudgetTable::try_from(vec![(1, LogOdds::ZERO), (100, LogOdds::from_f64(2.0))])
                .unwrap(),
        };
        let model = Model {
            version: String::new(),
            name: "test".into(),
            feature_definition: FEATURE_DEFINITION.into(),
            bucket_count: BUCKET_COUNT,
            heads: vec![head],
            summary: TrainingSummary::default(),
        };
        Model::from_bytes(&model.to_bytes()).unwrap()
    }

    /// The same bytes with a right checksum.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.len() - CHECKSUM_BYTES;
        let checksum = blake3::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(checksum.as_bytes());
        bytes
    }

    #[test]
    fn models_come_back_bit_for_bit_dense_and_sparse() {
        for share in [1.0, 0.3] {
            let model = random_model(share);
            let bytes = model.to_bytes();
            let again = Model::from_bytes(&bytes).unwrap();
            assert_eq!(again, model);
            assert_eq!(again.to_bytes(), bytes);
            assert!(model.version().starts_with("test-"));
        }
        let (sparse, dense) = (random_model(0.3).to_bytes(), random_model(1.0).to_bytes());
        assert!(sparse.len() * 2 < dense.len());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let bytes = random_model(0.01).to_bytes();
        let error = |bytes: &[u8]| Model::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(b"PK\x03\x04 a zip file"), "this is not a replyguard model");
        assert_eq!(error(b""), "this is not a replyguard model");
        assert!(error(&bytes[..bytes.len() - 1]).contains("is cut off"));
        let mut newer = bytes.clone();
        newer[8] = 9;
        assert_eq!(error(&newer), "the model has layout 9; this program reads up to 1");
        let text = String::from_utf8_lossy(FEATURE_DEFINITION.as_bytes()).into_owned();
        let position = bytes.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
        let mut foreign = bytes.clone();
        foreign[position] = b'!';
        assert!(error(&sealed(foreign)).contains("trained with the feature definition"));
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(error(&longer).contains("lengths"));
    }

    #[test]
    fn lengths_in_a_well_sealed_header_are_checked_too() {
        let bytes = random_model(0.01).to_bytes();
        let replaced = |from: &str, to: &str| {
            assert_eq!(from.len(), to.len());
            let position = bytes.windows(from.len()).position(|p| p == from.as_bytes()).unwrap();
            let mut changed = bytes.clone();
            changed[position..position + to.len()].copy_from_slice(to.as_bytes());
            Model::from_bytes(&sealed(changed)).unwrap_err().to_string()
        };
        assert!(replaced("\"sparse\"", "\"dense\" ").contains("wrong length"));
        assert!(
            replaced("\"bucket_count\":1048576", "\"bucket_count\":9999999").contains("buckets")
        );
        assert!(replaced("\"byte_count\":1", "\"byte_count\":9").contains("section"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flipped_bit_or_a_cut_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let bytes = SMALL.with(Clone::clone);
            let position = at.index(bytes.len());
            prop_assert!(Model::from_bytes(&bytes[..position]).is_err());
            let mut flipped = bytes;
            flipped[position] ^= 1 << bit;
            prop_assert!(Model::from_bytes(&flipped).is_err());
        }

        #[test]
        fn any_bytes_give_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let framed: Vec<u8> = MAGIC.iter().copied().chain(bytes.iter().copied()).collect();
            prop_assert!(Model::from_bytes(&bytes).is_err());
            prop_assert!(Model::from_bytes(&framed).is_err());
        }
    }

    thread_local! {
        static SMALL: Vec<u8> = random_model(0.001).to_bytes();
    }
}
