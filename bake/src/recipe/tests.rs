use serde_json::json;

use super::*;

fn read(context: Value) -> Result<Helm, RecipeError> {
    Helm::read(context.as_object().unwrap())
}

fn args(context: Value) -> Vec<String> {
    let values = ["values-1.yaml".to_owned(), "values-2.yaml".to_owned()];
    read(context).unwrap().args("./chart", &values)
}

fn error(context: Value) -> String {
    read(context).unwrap_err().to_string()
}

#[test]
fn every_field_finds_its_option() {
    let args = args(json!({
        "templateRenderer": "helm3", "outputName": "shop", "namespace": "prod",
        "includeCRDs": "true", "apiVersions": ["a/v1", "b/v2/Kind"], "kubeVersion": "1.36",
        "overrides": {"image.tag": "1.0", "replicas": 3, "on": true}, "rawOverrides": false,
    }));
    assert_eq!(
        args,
        [
            "template",
            "shop",
            "./chart",
            "--namespace=prod",
            "--include-crds",
            "--api-versions=a/v1",
            "--api-versions=b/v2/Kind",
            "--kube-version=1.36",
            "--values=values-1.yaml",
            "--values=values-2.yaml",
            "--set-string=image.tag=1.0",
            "--set-string=replicas=3",
            "--set-string=on=true",
        ]
    );
}

#[test]
fn the_shortest_recipe_is_a_renderer() {
    let helm = read(json!({"templateRenderer": "HELM3"})).unwrap();
    assert_eq!(helm.args("./chart", &[]), ["template", "./chart"]);
}

#[test]
fn raw_overrides_are_typed_by_helm() {
    let context = json!({"templateRenderer": "HELM3", "rawOverrides": true, "overrides": {"a": 1}});
    assert_eq!(args(context).last().unwrap(), "--set=a=1");
}

#[test]
fn one_override_sets_one_value() {
    let cases = [
        ("a", "b", "a=b"),
        ("a", "b,c", r"a=b\,c"),
        ("a", "b,image.tag=evil", r"a=b\,image.tag=evil"),
        ("a", r"b\,c", r"a=b\,c"),
        ("a", r"b\\,c", r"a=b\\\,c"),
        ("a", "{b,c}", "a={b,c}"),
        ("a", "{b},c=d", r"a=\{b}\,c=d"),
        ("a", r"{b\},c}", r"a={b\},c}"),
        ("a", "{b", r"a=\{b"),
        ("a", "", "a="),
        ("a", "x=y", "a=x=y"),
        ("a", "two\nlines, ü", "a=two\nlines\\, ü"),
        ("a", "-v", "a=-v"),
        (r#"sel."kubernetes\.io/os""#, "linux", r#"sel."kubernetes\.io/os"=linux"#),
        ("a=1,b", "c", r"a\=1\,b=c"),
        ("list[0].name", "c", "list[0].name=c"),
    ];
    for (key, value, expected) in cases {
        assert_eq!(setting(key, value), expected, "{key} {value}");
    }
}

#[test]
fn what_is_set_is_not_shown() {
    let context = json!({"templateRenderer": "HELM3", "overrides": {"password": "hunter2"}});
    let shown = read(context).unwrap().shown("./chart", &[]);
    assert_eq!(shown, "template ./chart --set-string=password=…");
}

#[test]
fn a_renderer_that_is_not_carried_out_is_named() {
    for name in ["HELM2", "kustomize", "KUSTOMIZE4", "Helmfile"] {
        let expected = format!(
            "`templateRenderer: {name}` is not carried out here; use HELM3, or bake it elsewhere"
        );
        assert_eq!(error(json!({"templateRenderer": name})), expected);
    }
    assert!(error(json!({"templateRenderer": "JSONNET"})).contains("is not known"));
    assert_eq!(error(json!({})), "`templateRenderer` is not set; use HELM3");
}

#[test]
fn what_could_be_taken_for_something_else_is_refused() {
    let with = |field: &str, value: Value| {
        let mut context = json!({"templateRenderer": "HELM3"});
        context[field] = value;
        read(context)
    };
    let refused = [
        ("outputName", json!("--post-renderer=x")),
        ("outputName", json!("a b")),
        ("outputName", json!("a.")),
        ("outputName", json!("x".repeat(54))),
        ("outputName", json!(7)),
        ("namespace", json!("a\nb")),
        ("includeCRDs", json!("perhaps")),
        ("apiVersions", json!("v1")),
        ("apiVersions", json!(["v1,v2"])),
        ("apiVersions", json!([""])),
        ("overrides", json!(["a=b"])),
        ("overrides", json!({"a": ["b"]})),
        ("overrides", json!({"a": {"b": 1}})),
        ("overrides", json!({"": "b"})),
        ("overrides", json!({"a": "b\0"})),
    ];
    for (field, value) in refused {
        let error = with(field, value.clone()).expect_err(&format!("{field}: {value}")).to_string();
        assert!(error.starts_with(&format!("`{field}")), "{error}");
    }
    for name in ["", "a", "my-shop", "my.shop-2"] {
        assert!(with("outputName", json!(name)).is_ok(), "{name}");
    }
}
