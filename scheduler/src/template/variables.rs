//! Variables of a template, and what a configuration gives for them.

use std::collections::BTreeSet;

use serde_json::Value;
use shared_model::{Object, Problem};

/// Everything that is wrong with the declarations.
pub(super) fn check(declared: &[Value]) -> Vec<Problem> {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for (at, variable) in declared.iter().enumerate() {
        let name = name_of(variable);
        let why = match (name.is_empty(), seen.insert(name)) {
            (true, _) => "a variable has no name".to_owned(),
            (false, false) => format!("two variables are called `{name}`"),
            (false, true) => continue,
        };
        let pointer = format!("/variables/{at}/name");
        problems.push(Problem::error("template-invalid", pointer, why, "name each once"));
    }
    problems
}

/// What every declared variable is: what was given, else its default. What is not declared is left
/// out.
///
/// # Errors
/// Every value of another type than the declared one.
pub fn effective(
    declared: &[Value],
    given: &Object,
    config: &Object,
) -> Result<Object, Vec<Problem>> {
    let (mut values, mut problems) = (Object::new(), Vec::new());
    for variable in declared.iter().filter(|variable| variable["remove"] != true) {
        let name = name_of(variable);
        let Some(value) = value_of(variable, given) else { continue };
        match type_of(variable) {
            wanted if value.is_null() || fits(wanted, &value) => {
                values.insert(name.to_owned(), value);
            }
            wanted => {
                let why = format!(
                    "{} variable `{name}` has the wrong type: expected type '{wanted}', found type '{}'",
                    place(config),
                    java_type(&value)
                );
                let hint = format!("give `{name}` as {wanted}");
                problems.push(Problem::error("variable-type", pointer(name), why, hint));
            }
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Declared variables that have no value, and need one.
pub fn missing(declared: &[Value], given: &Object) -> Vec<Problem> {
    let needed = declared.iter().filter(|variable| {
        variable["remove"] != true
            && variable["nullable"] != true
            && value_of(variable, given).is_none_or(|value| value.is_null())
    });
    let missing = needed.map(|variable| {
        let name = name_of(variable);
        let why = format!("the template's variable `{name}` is missing and has no default");
        Problem::error("variable-missing", pointer(name), why, format!("give `{name}` a value"))
    });
    missing.collect()
}

fn value_of(variable: &Value, given: &Object) -> Option<Value> {
    let default = variable.get("defaultValue");
    match (given.get(name_of(variable)), default) {
        (Some(Value::Array(own)), Some(Value::Array(all))) if variable["merge"] == true => {
            let more = own.iter().filter(|one| !all.contains(one));
            Some(all.iter().chain(more).cloned().collect())
        }
        (Some(Value::Object(own)), Some(Value::Object(all))) if variable["merge"] == true => {
            let mut all = all.clone();
            all.extend(own.clone());
            Some(Value::Object(all))
        }
        (Some(own), _) => Some(own.clone()),
        (None, default) => default.cloned(),
    }
}

fn name_of(variable: &Value) -> &str {
    variable["name"].as_str().unwrap_or_default()
}

fn type_of(variable: &Value) -> &str {
    variable["type"].as_str().unwrap_or("object")
}

/// Whether a value is of a declared type; the name of a Java class will do, too.
fn fits(wanted: &str, value: &Value) -> bool {
    let is_whole = |number: f64| number.fract() == 0.0;
    match wanted.to_ascii_lowercase().as_str() {
        "object" => true,
        "int" | "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(is_whole)
        }
        "float" | "double" => value.is_number(),
        "bool" => value.is_boolean(),
        "list" => value.is_array(),
        "map" => value.is_object(),
        named => java_type(value).eq_ignore_ascii_case(named),
    }
}

fn java_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "Boolean",
        Value::Number(number) if number.is_f64() => "Double",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "ArrayList",
        Value::Object(_) => "LinkedHashMap",
    }
}

/// Which configuration it is, as far as it says.
fn place(config: &Object) -> String {
    let told = ["application", "name", "id"].into_iter().filter_map(|key| {
        let value = config.get(key)?.as_str().filter(|value| !value.is_empty())?;
        Some(format!("{key}='{value}'"))
    });
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() { "unknown".to_owned() } else { told.join(", ") };
    format!("[Pipeline Config: {told}]")
}

fn pointer(name: &str) -> String {
    format!("/variables/{}", name.replace('~', "~0").replace('/', "~1"))
}
