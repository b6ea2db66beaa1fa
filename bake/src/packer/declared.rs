//! Which variables a template declares. Pure.
//!
//! Packer is given no others: it would ignore them or, in another version, refuse them.

use std::collections::BTreeSet;

use hcl_edit::structure::{Block, Body, Structure};
use serde_json::Value;

/// How deep brackets of a template may nest, or it is not read here: a parser calls itself for each.
const DEPTH_MAX: usize = 100;

/// In which language a template is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// JSON, Packer's first.
    Json,
    /// HCL2.
    Hcl,
    /// HCL2 in its JSON form.
    HclJson,
}

/// What is known of a template's variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// These are declared.
    Names(BTreeSet<String>),
    /// The template cannot be read here. Packer says why, or can read it.
    Unknown,
}

impl Language {
    /// By the file's name, as Packer tells them apart; else by how the text begins.
    pub fn of(name: &str, text: &str) -> Self {
        if name.ends_with(".pkr.hcl") || name.ends_with(".hcl") {
            return Self::Hcl;
        }
        if name.ends_with(".pkr.json") {
            return Self::HclJson;
        }
        let begins_as_json = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
        if name.ends_with(".json") || begins_as_json { Self::Json } else { Self::Hcl }
    }

    /// What the name of a file has to end with for Packer to read it so.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Hcl => ".pkr.hcl",
            Self::HclJson => ".pkr.json",
        }
    }
}

impl Declared {
    /// Reads a template.
    pub fn of(language: Language, text: &str) -> Self {
        let names = match language {
            Language::Json => json(text).map(|template| of_json(&template)),
            Language::HclJson => json(text).map(|template| of_hcl_json(&template)),
            Language::Hcl => hcl(text).map(|template| of_hcl(&template)),
        };
        names.map_or(Self::Unknown, Self::Names)
    }

    /// Whether a variable may be set; `None` if that is not known.
    pub fn has(&self, name: &str) -> Option<bool> {
        match self {
            Self::Names(names) => Some(names.contains(name)),
            Self::Unknown => None,
        }
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn of_json(template: &Value) -> BTreeSet<String> {
    keys(&template["variables"])
}

fn of_hcl_json(template: &Value) -> BTreeSet<String> {
    let mut names = keys(&template["variables"]);
    names.append(&mut keys(&template["variable"]));
    names
}

/// The keys of an object, or of each object of a list: HCL's JSON form allows both.
fn keys(value: &Value) -> BTreeSet<String> {
    let one = std::slice::from_ref(value);
    let objects = value.as_array().map_or(one, Vec::as_slice).iter();
    objects.filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect()
}

fn hcl(text: &str) -> Option<Body> {
    if depth(text) > DEPTH_MAX {
        return None;
    }
    text.trim_start_matches('\u{feff}').parse().ok()
}

/// The most brackets that are open at once; those in texts count as well, which does no harm.
fn depth(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

fn of_hcl(body: &Body) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for block in body.iter().filter_map(Structure::as_block) {
        match block.ident.as_str() {
            "variable" => names.extend(block.labels.first().map(|name| name.as_str().to_owned())),
            "variables" => names.extend(attributes(block)),
            _ => {}
        }
    }
    names
}

fn attributes(block: &Block) -> impl Iterator<Item = String> + '_ {
    block.body.iter().filter_map(Structure::as_attribute).map(|one| one.key.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(language: Language, text: &str) -> Vec<String> {
        match Declared::of(language, text) {
            Declared::Names(names) => names.into_iter().collect(),
            Declared::Unknown => panic!("it cannot be read"),
        }
    }

    #[test]
    fn variables_of_each_language_are_found() {
        let json = r#"{"variables": {"a": null, "b": "1"}, "builders": []}"#;
        assert_eq!(names(Language::Json, json), ["a", "b"]);
        assert_eq!(names(Language::Json, "{}"), Vec::<String>::new());
        let hcl = r##"
            packer { required_version = ">= 1.6" }
            # a comment { [ (
            variable "a" {
              type    = list(string)
              default = ["x", "${upper("y")}"]
            }
            variable "b" {}
            variables {
              c = 1
              d = null
            }
            locals { e = var.a }
            source "docker" "x" {
              image = <<-EOT
              variable "no" {}
              EOT
            }
            build { sources = ["source.docker.x"] }
        "##;
        assert_eq!(names(Language::Hcl, hcl), ["a", "b", "c", "d"]);
        let of_json = r#"{"variable": {"a": {}, "b": {"default": 1}}, "variables": [{"c": 1}]}"#;
        assert_eq!(names(Language::HclJson, of_json), ["a", "b", "c"]);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_packer() {
        let deep = format!("a = {}", "[".repeat(100_000));
        let deep_json = format!("{{\"a\": {}", "[".repeat(100_000));
        for (language, text) in [
            (Language::Hcl, "source \"docker\" {"),
            (Language::Hcl, deep.as_str()),
            (Language::Json, "{\"builders\": ["),
            (Language::Json, deep_json.as_str()),
        ] {
            assert_eq!(Declared::of(language, text), Declared::Unknown);
        }
    }

    #[test]
    fn the_language_is_told_by_name_then_by_text() {
        for (name, text, language) in [
            ("a.json", "source", Language::Json),
            ("a.pkr.hcl", "{", Language::Hcl),
            ("a.pkr.json", "{", Language::HclJson),
            ("template", " \n{}", Language::Json),
            ("template", "source \"docker\" \"x\" {}", Language::Hcl),
        ] {
            assert_eq!(Language::of(name, text), language, "{name} {text}");
        }
    }
}
