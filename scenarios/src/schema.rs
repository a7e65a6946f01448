//! The JSON schema of a scenario file, for editors and programs.

use crate::file::File;

/// The JSON schema of a scenario.
///
/// RON's structs are JSON's objects, and a variant such as `Uniform(rate: …)` an object with one
/// field, `{"Uniform": {"rate": …}}`.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File);
    schema.insert("title".to_string(), "migtwin scenario".into());
    schema.to_value()
}
