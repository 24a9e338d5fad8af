//! The model that ships inside the binary and works on the first day.

use super::Model;

/// See `docs/model-card.md` for what it was trained on, and `training-data/README.md` for the
/// command that makes these bytes again.
static BYTES: &[u8] = include_bytes!("../../model/base.rgmodel");

/// The bundled model.
///
/// # Panics
/// If the binary was built with a model of another feature definition; a test loads it.
pub fn base_model() -> Model {
    Model::from_bytes(BYTES).expect("a test loads the bundled model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_loads_and_is_small() {
        let model = base_model();
        assert_eq!(model.spam().name(), "spam");
        assert!(model.abuse().is_some());
        assert!(BYTES.len() < 4_500_000, "{} bytes", BYTES.len());
        assert!(!model.summary().sources.is_empty());
    }
}
