//! From a stage's context to a command line. Pure.
//!
//! Every value of a user's goes into its argument behind a `=`, so that none can be read as an
//! option, and every override is an argument of its own.

use serde_json::Value;
use shared_model::Object;

/// Renderers of the reference that are known by name but not carried out.
const NOT_CARRIED_OUT: [&str; 5] = ["HELM2", "KUSTOMIZE", "KUSTOMIZE4", "KUSTOMIZE5", "HELMFILE"];
/// Helm's own limit on the name of a release.
const RELEASE_BYTES_MAX: usize = 53;

/// Why a stage's context is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// A field has to be there.
    #[error("`{field}` is not set; {hint}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What to write.
        hint: &'static str,
    },
    /// The renderer is known but not carried out.
    #[error("`templateRenderer: {name}` is not carried out here; use HELM3, or bake it elsewhere")]
    NotCarriedOut {
        /// The renderer.
        name: String,
    },
    /// The renderer is not known.
    #[error("`templateRenderer: {name}` is not known; use HELM3")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A field has a value that cannot be used.
    #[error("`{field}` cannot be used: {why}")]
    Unusable {
        /// The field.
        field: String,
        /// Why, and what to write instead.
        why: String,
    },
}

/// What to have `helm template` do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Helm {
    /// Name of the release; helm's default if it is empty.
    pub release: String,
    /// Namespace of the release; helm's default if it is empty.
    pub namespace: String,
    /// Values that go over those of the files: the path of each and its text, in order.
    pub overrides: Vec<(String, String)>,
    /// Whether helm guesses the types of overrides (`--set`) or takes text for text (`--set-string`).
    pub raw_overrides: bool,
    /// Whether custom resource definitions of the chart are rendered.
    pub include_crds: bool,
    /// API versions that the chart is told the cluster has, beside helm's own list.
    pub api_versions: Vec<String>,
    /// Version of Kubernetes that the chart is told; helm's default if it is empty.
    pub kube_version: String,
    /// Where the chart is inside its artifact; at its top if it is empty.
    pub chart_path: String,
}

impl Helm {
    /// Reads a `bakeManifest` stage's context.
    ///
    /// # Errors
    /// [`RecipeError`], naming the field.
    pub fn read(context: &Object) -> Result<Self, RecipeError> {
        renderer(context)?;
        Ok(Self {
            release: release(context)?,
            namespace: text(context, "namespace")?,
            overrides: overrides(context)?,
            raw_overrides: flag(context, "rawOverrides")?,
            include_crds: flag(context, "includeCRDs")?,
            api_versions: api_versions(context)?,
            kube_version: text(context, "kubeVersion")?,
            chart_path: text(context, "helmChartFilePath")?,
        })
    }

    /// Helm's arguments for a chart and values files. Their names are ours: relative, without commas,
    /// and no name begins with a dash.
    pub fn args(&self, chart: &str, values: &[String]) -> Vec<String> {
        let mut args = vec!["template".to_owned()];
        args.extend(some(&self.release).map(str::to_owned));
        args.push(chart.to_owned());
        args.extend(some(&self.namespace).map(|name| format!("--namespace={name}")));
        args.extend(self.include_crds.then(|| "--include-crds".to_owned()));
        args.extend(self.api_versions.iter().map(|version| format!("--api-versions={version}")));
        args.extend(some(&self.kube_version).map(|version| format!("--kube-version={version}")));
        args.extend(values.iter().map(|file| format!("--values={file}")));
        let set = self.set_flag();
        let overrides = self.overrides.iter();
        args.extend(overrides.map(|(key, value)| format!("{set}={}", setting(key, value))));
        args
    }

    /// The same for people to read: what is set is named, not shown, for it may be a secret.
    pub fn shown(&self, chart: &str, values: &[String]) -> String {
        let without = Self { overrides: Vec::new(), ..self.clone() };
        let mut shown = without.args(chart, values);
        let set = self.set_flag();
        shown.extend(self.overrides.iter().map(|(key, _)| format!("{set}={key}=…")));
        shown.join(" ")
    }

    fn set_flag(&self) -> &'static str {
        if self.raw_overrides { "--set" } else { "--set-string" }
    }
}

fn renderer(context: &Object) -> Result<(), RecipeError> {
    let name = text(context, "templateRenderer")?;
    let upper = name.to_ascii_uppercase();
    match upper.as_str() {
        "HELM3" => Ok(()),
        "" => Err(RecipeError::Missing { field: "templateRenderer", hint: "use HELM3" }),
        known if NOT_CARRIED_OUT.contains(&known) => Err(RecipeError::NotCarriedOut { name }),
        _ => Err(RecipeError::Unknown { name }),
    }
}

/// Helm takes a DNS subdomain; checked here because the name stands where an option could.
fn release(context: &Object) -> Result<String, RecipeError> {
    let name = text(context, "outputName")?;
    let is_word = |label: &str| {
        let bytes = label.as_bytes();
        let is_inner = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let ends = [bytes.first(), bytes.last()];
        bytes.iter().all(is_inner) && ends.iter().all(|end| end.is_some_and(|byte| *byte != b'-'))
    };
    if name.is_empty() || (name.len() <= RELEASE_BYTES_MAX && name.split('.').all(is_word)) {
        return Ok(name);
    }
    let why = format!(
        "`{name}` is no name of a release: at most {RELEASE_BYTES_MAX} lower-case letters, digits, \
         `-` and `.`, beginning and ending with a letter or digit"
    );
    Err(unusable("outputName", why))
}

fn overrides(context: &Object) -> Result<Vec<(String, String)>, RecipeError> {
    let overrides = match context.get("overrides") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(overrides)) => overrides,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let why = "it must be an object of texts, e.g. {\"image.tag\": \"1.2\"}".to_owned();
            return Err(unusable("overrides", why));
        }
    };
    overrides.iter().map(|(key, value)| Ok((key.clone(), override_text(key, value)?))).collect()
}

fn override_text(key: &str, value: &Value) -> Result<String, RecipeError> {
    let field = || format!("overrides.{key}");
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
        Value::Array(_) | Value::Object(_) => {
            let why = "it must be a text, a number or a boolean; write `{a,b}` for a list, name the \
                       path of each inner value (`a.b`), or use a values file";
            return Err(unusable(&field(), why.into()));
        }
    };
    let is_bad = |text: &str| text.contains('\0');
    if key.is_empty() || is_bad(key) || is_bad(&text) {
        return Err(unusable(
            &field(),
            "a path must not be empty, and no text may hold NUL".into(),
        ));
    }
    Ok(text)
}

fn api_versions(context: &Object) -> Result<Vec<String>, RecipeError> {
    let list = match context.get("apiVersions") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(unusable("apiVersions", "it must be a list of texts".into()));
        }
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
    let checked = list.iter().enumerate().map(|(index, version)| match version.as_str() {
        Some(version) if !version.is_empty() && version.chars().all(is_part) => {
            Ok(version.to_owned())
        }
        Some(_) | None => {
            let why = "it must read like `apps/v1` or `apps/v1/Deployment`".to_owned();
            Err(unusable(&format!("apiVersions[{index}]"), why))
        }
    });
    checked.collect()
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

/// A boolean; its word in text counts as well, as in the documents that are about.
fn flag(context: &Object, field: &str) -> Result<bool, RecipeError> {
    match context.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.is_empty() || text.eq_ignore_ascii_case("false") => {
            Ok(false)
        }
        Some(Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(unusable(field, "it must be true or false".into()))
        }
    }
}

/// One setting in helm's language (“The Format and Limitations of --set”). Spinnaker hands a text to
/// helm as it is, so what is written in that language already stays: a backslash with what follows
/// it, and a list in braces. What would end the setting and begin another is made part of the text:
/// one override sets one value.
fn setting(key: &str, value: &str) -> String {
    format!("{}={}", escape(key, &[',', '=']), escape_value(value))
}

fn escape_value(value: &str) -> String {
    if is_list(value) {
        return value.to_owned();
    }
    let escaped = escape(value, &[',']);
    if escaped.starts_with('{') { format!("\\{escaped}") } else { escaped }
}

/// Whether the first `{` is closed by the last character and by none before.
fn is_list(value: &str) -> bool {
    let Some(inner) = value.strip_prefix('{') else { return false };
    let end = bare(inner).find(|(_, c)| *c == '}').map(|(at, _)| at);
    end.is_some_and(|at| at + 1 == inner.len())
}

fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in bare(text).filter(|(_, c)| special.contains(c)) {
        escaped.push_str(&text[done..at]);
        escaped.push('\\');
        done = at;
    }
    escaped.push_str(&text[done..]);
    escaped
}

/// The characters that no backslash stands before.
fn bare(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut after_backslash = false;
    text.char_indices().filter(move |(_, c)| {
        let is_bare = !after_backslash && *c != '\\';
        after_backslash = !after_backslash && *c == '\\';
        is_bare
    })
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn unusable(field: &str, why: String) -> RecipeError {
    RecipeError::Unusable { field: field.to_owned(), why }
}

#[cfg(test)]
mod tests;
