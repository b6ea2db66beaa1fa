use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const TEMPLATE_TEXT: &str = r#"{"variables": {"token": ""}, "builders": []}"#;

/// `recipes` with a template in a folder, `secret` beside it, `work` for Packer.
fn scene() -> (TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let recipes = folder.path().join("recipes");
    std::fs::create_dir_all(recipes.join("web")).unwrap();
    std::fs::create_dir(folder.path().join("work")).unwrap();
    std::fs::write(recipes.join("web/shop.json"), TEMPLATE_TEXT).unwrap();
    std::fs::write(recipes.join("prod.json"), "{}").unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret").unwrap();
    let sources = Sources {
        artifact_root: recipes.clone(),
        recipes,
        artifact: None,
        limits: Limits::default(),
    };
    (folder, sources)
}

fn stage(folder: &TempDir, sources: &Sources, context: &Value) -> Result<Staged, BakeError> {
    let request = Request::read(context.as_object().unwrap()).unwrap();
    sources.stage(&request, "eu", &folder.path().join("work"), &CancellationToken::new())
}

#[test]
fn the_template_comes_with_all_that_lies_beside_it_and_values_by_file() {
    let (folder, sources) = scene();
    let context = json!({"templateFileName": "web/shop.json", "varFileName": "prod.json",
        "extendedAttributes": {"token": "t0p", "other": 1}});
    let staged = stage(&folder, &sources, &context).unwrap();
    assert_eq!(staged.template, "./web/shop.json");
    assert_eq!(staged.var_files, ["./prod.json", "./.bake/variables.json"]);
    assert_eq!(staged.unused, ["other"]);
    let work = folder.path().join("work");
    assert!(work.join("web/shop.json").is_file() && work.join("prod.json").is_file());
    let variables = work.join(".bake/variables.json");
    assert_eq!(std::fs::read_to_string(&variables).unwrap(), r#"{"token":"t0p"}"#);
    assert_eq!(variables.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_not_in_the_folder_is_refused() {
    let (folder, sources) = scene();
    symlink(folder.path().join("secret"), sources.recipes.join("web/link.json")).unwrap();
    for (name, part) in [
        ("../secret", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("web/../../secret", "leads out of"),
        ("web/link.json", "leads out of"),
        ("web", "`templateFileName: web` is no file in the folder of recipes"),
        ("nothing.json", "`templateFileName: nothing.json` is no file"),
        // The template is fine, but what lies beside it leads outside.
        ("web/shop.json", "link.json` leads out of"),
    ] {
        let error = stage(&folder, &sources, &json!({"templateFileName": name})).unwrap_err();
        assert!(error.to_string().contains(part), "{name}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_missing_folder_of_recipes_is_named() {
    let (folder, mut sources) = scene();
    sources.recipes = folder.path().join("nowhere");
    let error = stage(&folder, &sources, &json!({"templateFileName": "a"})).unwrap_err();
    assert!(error.to_string().contains("--recipes"), "{error}");
}
