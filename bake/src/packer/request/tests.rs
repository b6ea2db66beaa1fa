use serde_json::json;

use super::*;

fn read(context: &Value) -> Result<Request, RecipeError> {
    Request::read(context.as_object().unwrap())
}

fn declared(names: &[&str]) -> Declared {
    Declared::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn set(context: &Value, language: Language, names: &[&str]) -> Value {
    let variables = read(context).unwrap().variables("eu", "/r", language, &declared(names));
    Value::Object(variables.unwrap().set)
}

#[test]
fn a_template_is_a_file_or_an_artifact() {
    for (context, expected) in [
        (json!({"templateFileName": "a.json"}), Template::File("a.json".into())),
        (json!({"packerTemplateId": "t"}), Template::Artifact("packerTemplate")),
        (
            json!({"templateFileName": "", "templateArtifact": {"type": "local/file"}}),
            Template::Artifact("templateArtifact"),
        ),
    ] {
        assert_eq!(read(&context).unwrap().template, expected, "{context}");
    }
}

#[test]
fn what_cannot_be_carried_out_is_named() {
    let file = "a.json";
    for (context, field) in [
        (json!({}), "`templateFileName` is not set"),
        (json!({"templateFileName": 7}), "`templateFileName` cannot be used"),
        (json!({"templateFileName": file, "packerTemplateId": "t"}), "`packerTemplate` names"),
        (json!({"templateFileName": file, "packageArtifactIds": ["a"]}), "`packageArtifactIds`"),
        (json!({"templateFileName": file, "regions": {"a": 1}}), "`regions` cannot"),
        (json!({"templateFileName": file, "regions": ["a", 7]}), "`regions[1]` cannot"),
        (json!({"templateFileName": file, "extendedAttributes": []}), "`extendedAttributes`"),
        (json!({"templateFileName": file, "varFileName": "a\nb"}), "`varFileName` cannot"),
    ] {
        let error = read(&context).unwrap_err().to_string();
        assert!(error.contains(field), "{context}: {error}");
    }
}

#[test]
fn regions_are_taken_each_once_and_there_is_always_one() {
    for (context, expected) in [
        (json!({}), vec!["global"]),
        (json!({"region": "eu"}), vec!["eu"]),
        (json!({"regions": []}), vec!["global"]),
        (json!({"region": "eu", "regions": ["us", "eu", "us"]}), vec!["us", "eu"]),
    ] {
        let mut context = context;
        context["templateFileName"] = json!("a.json");
        assert_eq!(read(&context).unwrap().regions, expected, "{context}");
    }
}

#[test]
fn only_declared_variables_are_set_and_attributes_go_over_fields() {
    let context = json!({
        "templateFileName": "a.json", "package": "shop", "baseOs": "jammy", "baseAmi": "ami-1",
        "amiName": "", "name": "Bake", "extendedAttributes": {"base_os": "noble", "x": "1", "y": null},
    });
    let names = [
        "packages",
        "baseOs",
        "base_os",
        "aws_source_ami",
        "region",
        "configDir",
        "name",
        "amiName",
        "y",
    ];
    assert_eq!(
        set(&context, Language::Json, &names),
        json!({"packages": "shop", "baseOs": "jammy", "base_os": "noble", "aws_source_ami": "ami-1",
            "region": "eu", "configDir": "/r"})
    );
    let request = read(&context).unwrap();
    let unused = request.variables("eu", "/r", Language::Json, &declared(&names)).unwrap().unused;
    assert_eq!(unused, ["x"]);
}

#[test]
fn every_value_comes_through_also_false_and_zero() {
    let attributes = json!({"no": false, "zero": 0, "text": "", "half": 0.5, "list": [1, "b"]});
    let context = json!({"templateFileName": "a", "extendedAttributes": attributes});
    let names = ["no", "zero", "text", "half", "list"];
    assert_eq!(set(&context, Language::Hcl, &names), attributes);
    let error = read(&context).unwrap().variables("eu", "/r", Language::Json, &declared(&names));
    assert!(error.unwrap_err().to_string().contains("`extendedAttributes.list`"));
    let context = json!({"templateFileName": "a", "extendedAttributes":
        {"no": false, "zero": 0, "text": "", "half": 0.5}});
    assert_eq!(
        set(&context, Language::Json, &names),
        json!({"no": "false", "zero": "0", "text": "", "half": "0.5"})
    );
}

#[test]
fn a_template_that_cannot_be_read_gets_what_the_document_says_and_no_more() {
    let context =
        json!({"templateFileName": "a", "package": "p", "extendedAttributes": {"x": "1"}});
    let variables =
        read(&context).unwrap().variables("eu", "/r", Language::Hcl, &Declared::Unknown).unwrap();
    assert_eq!(Value::Object(variables.set), json!({"x": "1"}));
}
