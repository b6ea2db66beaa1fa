//! `#name(…)`.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::{Map, Value};

use crate::Error;
use crate::eval::{Result, Run};
use crate::scope::text;
use crate::value::{Val, double_text};

mod spinnaker;

/// Java's decoder does without the `=` at the end.
const UNPADDED_TOO: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type Object = Map<String, Value>;

/// Calls a function.
///
/// # Errors
/// [`Error`] if there is none of that name, or it fails.
pub(crate) fn call<'a>(run: &mut Run<'a>, name: &str, args: Vec<Val<'a>>) -> Result<Val<'a>> {
    let args: Vec<Val<'a>> = args.into_iter().map(|value| run.whole_root(value)).collect();
    match (name, args.as_slice()) {
        ("toInt", [value]) => to_int(value),
        ("toFloat", [value]) => to_float(value),
        ("toBoolean", [value]) => {
            Ok(Val::Bool(value.to_text().eq_ignore_ascii_case("true") && !value.is_null()))
        }
        ("toBase64", [value]) => Ok(Val::text(STANDARD.encode(text_argument(value)?))),
        ("fromBase64", [value]) => from_base64(&text_argument(value)?),
        ("alphanumerical", [value]) => {
            let text = text_argument(value)?;
            Ok(Val::text(text.chars().filter(char::is_ascii_alphanumeric).collect::<String>()))
        }
        ("readJson", [value]) => read_json(run, &value.to_text()),
        ("readYaml", [value]) => read_yaml(run, &value.to_text(), false),
        ("readAllYaml", [value]) => read_yaml(run, &value.to_text(), true),
        ("toJson", [value]) => to_json(value),
        ("doNotEval", [value]) => Ok(Val::Kept(Rc::new(value.clone()))),
        ("fromUrl", [url]) => fetch(run, url).map(Val::text),
        ("jsonFromUrl", [url]) => {
            let body = fetch(run, url)?;
            read_json(run, &body)
        }
        ("yamlFromUrl", [url]) => {
            let body = fetch(run, url)?;
            read_yaml(run, &body, false)
        }
        ("propertiesFromUrl", [url]) => fetch(run, url).map(|body| properties(&body)),
        _ => spinnaker::call(run, name, &args),
    }
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Evaluate(format!("{}: {why}", crate::error::IN_FUNCTION))
}

pub(crate) fn unknown(name: &str, count: usize) -> Error {
    Error::Evaluate(format!("EL1006E: Function '{name}' could not be found for {count} arguments"))
}

/// An argument that is text in Java: lists are joined, maps and null are refused.
fn text_argument(value: &Val<'_>) -> Result<String> {
    if value.is_null() {
        return Err(failed("the argument is null"));
    }
    crate::walk::within_text(value)
}

fn to_int<'a>(value: &Val<'a>) -> Result<Val<'a>> {
    let text = text_argument(value)?;
    text.parse().map(Val::Int).map_err(|_| failed(format!("For input string: \"{text}\"")))
}

fn to_float<'a>(value: &Val<'a>) -> Result<Val<'a>> {
    let number = crate::methods::parse_double(&text_argument(value)?);
    number.map(Val::Double).map_err(failed)
}

fn from_base64<'a>(text: &str) -> Result<Val<'a>> {
    let bytes = UNPADDED_TOO.decode(text).map_err(failed)?;
    Ok(Val::text(String::from_utf8_lossy(&bytes)))
}

/// JSON that is an object, a list that begins at once, or null; what follows is not looked at.
fn read_json<'a>(run: &mut Run<'a>, text: &str) -> Result<Val<'a>> {
    run.reserve(4 * text.len() as u64)?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().ok_or_else(|| failed("there is no JSON"))?.map_err(failed)?;
    let is_list = value.is_array() && text.starts_with('[');
    if !is_list && !value.is_object() && !value.is_null() {
        return Err(failed("#readJson takes a JSON object or a JSON list"));
    }
    Ok(Val::from_json(&value))
}

/// YAML of one document, or of several.
fn read_yaml<'a>(run: &mut Run<'a>, text: &str, all: bool) -> Result<Val<'a>> {
    run.reserve(4 * text.len() as u64)?;
    if text.lines().any(|line| line.split_whitespace().any(|word| word.starts_with("!!"))) {
        return Err(failed("tags are not allowed in YAML here"));
    }
    // Read by its own rules `y` would be a boolean, which it is not in Spinnaker's reader.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(failed)?;
    let documents: Vec<Val<'a>> =
        documents.iter().map(|one| Val::from_json(&yaml_words(one, text))).collect();
    if all {
        return Ok(Val::list(documents));
    }
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Ok(Val::Null),
        (Some(_), Some(_)) => Err(failed("several documents; use #readAllYaml")),
    }
}

/// YAML 1.1's words for booleans, which Spinnaker's reader knows, but for those that the source has
/// in quotes.
fn yaml_words(value: &Value, source: &str) -> Value {
    let quoted = |word: &str| ['\'', '"'].iter().any(|q| source.contains(&format!("{q}{word}{q}")));
    match value {
        Value::String(text) if text.len() > 3 || quoted(text) => value.clone(),
        Value::String(text) => match text.as_str() {
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
            _ => value.clone(),
        },
        Value::Array(list) => {
            Value::Array(list.iter().map(|one| yaml_words(one, source)).collect())
        }
        Value::Object(map) => {
            let entries = map.iter();
            let entries = entries.map(|(key, value)| (key.clone(), yaml_words(value, source)));
            Value::Object(entries.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn to_json<'a>(value: &Val<'a>) -> Result<Val<'a>> {
    let kept = matches!(value, Val::Kept(_));
    let json = value.to_json().ok_or_else(|| failed(format!("{} has no JSON", value.kind())))?;
    let text = java_json(&json)?;
    if text.contains("${") && !kept {
        return Err(failed("result for toJson cannot contain an expression"));
    }
    let text = Val::text(text);
    Ok(if kept { Val::Kept(Rc::new(text)) } else { text })
}

/// JSON with numbers as Java writes them: `1.0E10`.
fn java_json(value: &Value) -> Result<String> {
    struct Java;
    impl serde_json::ser::Formatter for Java {
        fn write_f64<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            number: f64,
        ) -> std::io::Result<()> {
            writer.write_all(double_text(number).as_bytes())
        }
    }
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Java);
    serde::Serialize::serialize(value, &mut serializer).map_err(failed)?;
    String::from_utf8(bytes).map_err(failed)
}

fn fetch(run: &mut Run<'_>, url: &Val<'_>) -> Result<String> {
    let body = run.context.outside.fetch(&url.to_text()).map_err(failed)?;
    run.reserve(body.len() as u64)?;
    Ok(body)
}

/// Java's `.properties`.
fn properties<'a>(body: &str) -> Val<'a> {
    let lines = body.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let entries = lines.map(|line| {
        let split = line.find(['=', ':']).unwrap_or(line.len());
        let (key, value) = line.split_at(split);
        let value = value.strip_prefix(['=', ':']).unwrap_or(value);
        (key.trim().to_owned(), Val::text(value.trim()))
    });
    Val::Map(Rc::new(entries.collect()))
}

pub(crate) fn text_of<'a>(object: &'a Object, key: &str) -> &'a str {
    text(object, key)
}
