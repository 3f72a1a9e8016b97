//! What a tool takes and gives, as JSON Schema made from the types that are read and written. What tools there are is in `server`.

use std::sync::Arc;

use rmcp::model::JsonObject;
use rmcp::schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The schema of what a tool takes.
pub(super) fn taken<T: JsonSchema>() -> Arc<JsonObject> {
    let mut schema = made_by::<T>(SchemaSettings::draft2020_12().for_deserialize());
    whole(&mut schema);
    object(schema)
}

/// The schema of what a tool gives.
pub(super) fn given<T: JsonSchema>() -> Arc<JsonObject> {
    object(made_by::<T>(SchemaSettings::draft2020_12().for_serialize()))
}

fn made_by<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    plain(&mut schema);
    schema
}

fn object(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

/// Says of optional arguments only what they are when they are there: null is taken too, but models need not choose between two ways
/// to say nothing.
fn whole(schema: &mut Value) {
    let Some(arguments) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for argument in arguments.values_mut() {
        for of in ["type", "enum"] {
            let Some(values) = argument.get_mut(of).and_then(Value::as_array_mut) else { continue };
            values.retain(|value| !value.is_null() && value != "null");
            if of == "type" && values.len() == 1 {
                argument[of] = values[0].clone();
            }
        }
    }
}

/// Takes out what validators do not know, or warn of: formats of Rust's numbers, and names of Rust's types.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("$schema");
            if object.get("title").is_some_and(Value::is_string) {
                object.remove("title");
            }
            let is_number = |format: &Value| {
                format.as_str().is_some_and(|format| format.contains("int") || format == "double")
            };
            if object.get("format").is_some_and(is_number) {
                object.remove("format");
            }
            object.values_mut().for_each(plain);
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}
