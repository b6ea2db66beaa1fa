//! A `bake` stage's context → what is to be baked. Pure.

use serde_json::{Map, Value};
use shared_model::Object;

use super::declared::{Declared, Language};
use crate::recipe::RecipeError;

/// The region of a bake that names none.
pub const NO_REGION: &str = "global";
/// How many regions one stage may bake for.
const REGIONS_MAX: usize = 50;
/// Fields of the stage that become variables, under their own name and in `snake_case`.
const FIELDS: [&str; 17] = [
    "account",
    "accountName",
    "amiName",
    "amiSuffix",
    "baseAmi",
    "baseLabel",
    "baseName",
    "baseOs",
    "cloudProviderType",
    "enhancedNetworking",
    "osType",
    "package",
    "packageType",
    "rootVolumeSize",
    "storeType",
    "upstart",
    "vmType",
];
/// What the templates that come with Spinnaker call some of them.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("package", "packages"),
    ("amiName", "aws_target_ami"),
    ("amiName", "docker_target_image"),
    ("baseAmi", "aws_source_ami"),
    ("baseAmi", "docker_source_image"),
    ("region", "aws_region"),
];
/// Fields that change what is baked and are not carried out.
const NOT_CARRIED_OUT: [(&str, &str); 3] = [
    ("packageArtifactIds", "name the package by `package`, or by a variable of the template"),
    ("packageArtifacts", "name the package by `package`, or by a variable of the template"),
    ("overrideTemplate", "name the template by `templateFileName`"),
];

/// What a `bake` stage asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Where the template is.
    pub template: Template,
    /// A file of variables in the recipe folder; none if it is empty.
    pub var_file: String,
    /// One bake each, in order.
    pub regions: Vec<String>,
    /// The document's `cloudProviderType`; empty if it names none.
    pub cloud: String,
    /// The document's `package`.
    pub package: String,
    /// The image's name, if the document gives one.
    pub image_name: String,
    fields: Object,
    pub(crate) attributes: Object,
}

/// Where a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// A file in the recipe folder.
    File(String),
    /// The artifact that these fields name, without `Id`.
    Artifact(&'static str),
}

/// The variables of one run of Packer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Variables {
    /// What its file of variables holds.
    pub set: Object,
    /// `extendedAttributes` that the template does not declare, by name.
    pub unused: Vec<String>,
}

impl Request {
    /// Reads a stage's context.
    ///
    /// # Errors
    /// [`RecipeError`], naming the field.
    pub fn read(context: &Object) -> Result<Self, RecipeError> {
        for (field, instead) in NOT_CARRIED_OUT {
            if context.get(field).is_some_and(is_set) {
                let why = format!("it is not carried out here; {instead}");
                return Err(unusable(field, why));
            }
        }
        let text = |field| text(context, field);
        let (name, suffix) = (text("amiName")?, text("amiSuffix")?);
        let named = [name, suffix].into_iter().filter(|part| !part.is_empty());
        Ok(Self {
            template: template(context)?,
            var_file: text("varFileName")?,
            regions: regions(context)?,
            cloud: text("cloudProviderType")?,
            package: text("package")?,
            image_name: named.collect::<Vec<_>>().join("-"),
            fields: fields(context),
            attributes: attributes(context)?,
        })
    }

    /// The variables of the bake for a region. `folder` is where the recipes are for Packer.
    ///
    /// # Errors
    /// [`RecipeError`] if a value cannot be one of a template in this language.
    pub fn variables(
        &self,
        region: &str,
        folder: &str,
        language: Language,
        declared: &Declared,
    ) -> Result<Variables, RecipeError> {
        let mut variables = Variables::default();
        let mut fields = self.fields.clone();
        fields.insert("region".into(), region.into());
        fields.insert("configDir".into(), folder.into());
        for (name, value) in named(&fields) {
            if declared.has(&name) == Some(true) {
                variables.set.insert(name.clone(), value_for(language, &name, value)?);
            }
        }
        for (name, value) in self.attributes.iter().filter(|(_, value)| !value.is_null()) {
            if declared.has(name) == Some(false) {
                variables.unused.push(name.clone());
                continue;
            }
            let field = format!("extendedAttributes.{name}");
            variables.set.insert(name.clone(), value_for(language, &field, value)?);
        }
        Ok(variables)
    }
}

/// Every name that a field has as a variable.
fn named(fields: &Object) -> Vec<(String, &Value)> {
    let mut named = Vec::new();
    for (field, value) in fields {
        named.push((field.clone(), value));
        named.push((snake_case(field), value));
        let others = OTHER_NAMES.iter().filter(|(of, _)| of == field);
        named.extend(others.map(|(_, other)| ((*other).to_owned(), value)));
    }
    named
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A JSON template knows texts only. `false` and 0 are values like others.
fn value_for(language: Language, field: &str, value: &Value) -> Result<Value, RecipeError> {
    match (language, value) {
        (Language::Hcl | Language::HclJson, _) | (Language::Json, Value::String(_)) => {
            Ok(value.clone())
        }
        (Language::Json, Value::Bool(_) | Value::Number(_)) => Ok(value.to_string().into()),
        (Language::Json, Value::Null | Value::Array(_) | Value::Object(_)) => {
            let why = "a template in JSON takes texts, numbers and booleans as variables; write a \
                       text, or the template in HCL2";
            Err(unusable(field, why.into()))
        }
    }
}

fn template(context: &Object) -> Result<Template, RecipeError> {
    let file = text(context, "templateFileName")?;
    let of_artifact = ["packerTemplate", "templateArtifact"].into_iter().find(|field| {
        let id = context.get(&format!("{field}Id"));
        [id, context.get(*field)].into_iter().flatten().any(is_set)
    });
    match (file.is_empty(), of_artifact) {
        (false, None) => Ok(Template::File(file)),
        (true, Some(field)) => Ok(Template::Artifact(field)),
        (true, None) => Err(RecipeError::Missing {
            field: "templateFileName",
            hint: "name a Packer template in the recipe folder (`--recipes`), or an artifact that \
                   is one by `packerTemplateId` or `packerTemplate`",
        }),
        (false, Some(field)) => {
            let why = format!("`{field}` names a template as well; keep one of them");
            Err(unusable("templateFileName", why))
        }
    }
}

/// `regions`, else `region`, each once.
fn regions(context: &Object) -> Result<Vec<String>, RecipeError> {
    let one = text(context, "region")?;
    let listed = match context.get("regions") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(Value::String(text)) => vec![Value::String(text.clone())],
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(unusable("regions", "it must be a list of texts".into()));
        }
    };
    let mut regions: Vec<String> = Vec::new();
    for (index, region) in listed.iter().enumerate() {
        let region = region.as_str().map(str::trim).filter(|region| !region.is_empty());
        let field = || format!("regions[{index}]");
        let region = region.ok_or_else(|| unusable(&field(), "it must be a text".into()))?;
        if !regions.iter().any(|known| known == region) {
            regions.push(region.to_owned());
        }
    }
    if regions.is_empty() {
        regions.push(if one.is_empty() { NO_REGION.to_owned() } else { one });
    }
    if regions.len() > REGIONS_MAX {
        let why = format!("it names {} regions, the limit is {REGIONS_MAX}", regions.len());
        return Err(unusable("regions", why));
    }
    Ok(regions)
}

fn fields(context: &Object) -> Object {
    let is_scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let fields = FIELDS.iter().filter_map(|field| Some((*field, context.get(*field)?)));
    fields
        .filter(|(_, value)| is_scalar(value) && value.as_str() != Some(""))
        .map(|(field, value)| (field.to_owned(), value.clone()))
        .collect()
}

fn attributes(context: &Object) -> Result<Object, RecipeError> {
    match context.get("extendedAttributes") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(attributes)) => Ok(attributes.clone()),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let why = "it must be an object: the names of variables and their values".to_owned();
            Err(unusable("extendedAttributes", why))
        }
    }
}

/// Whether a field says something.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn text(context: &Object, field: &str) -> Result<String, RecipeError> {
    match context.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if !text.chars().any(char::is_control) => {
            Ok(text.trim().to_owned())
        }
        Some(Value::String(_)) => Err(unusable(field, "it holds control characters".into())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(unusable(field, "it must be a text".into()))
        }
    }
}

fn unusable(field: &str, why: String) -> RecipeError {
    RecipeError::Unusable { field: field.to_owned(), why }
}

#[cfg(test)]
mod tests;
