//! The models that Nave knows without being told: those of NAISYS 3.0, so that its agents find what they name.

use crate::api::Model;

const MODELS: &str = include_str!("builtin.json");

/// They, in their order.
///
/// # Panics
///
/// Never: the file is a part of the program, and tested.
pub fn builtin_models() -> Vec<Model> {
    serde_json::from_str(MODELS).expect("the list of models can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read_and_no_key_is_there_twice() {
        let models = builtin_models();
        let keys: std::collections::BTreeSet<_> = models.iter().map(Model::key).collect();
        assert_eq!(keys.len(), models.len());
        assert!(keys.contains("none") && keys.contains("mock"));
    }
}
