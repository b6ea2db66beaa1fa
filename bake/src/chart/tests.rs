use bytes::Bytes;

use super::*;

fn bytes(content: &[u8]) -> Source {
    Source { name: "x".into(), place: Place::Bytes(Bytes::copy_from_slice(content)) }
}

fn folder(path: &Path) -> Source {
    let path = path.canonicalize().unwrap();
    Source { name: "repo".into(), place: Place::Local { root: path.clone(), path } }
}

fn stage_from(
    chart: &Source,
    at: &str,
    values: &[Source],
) -> Result<(Staged, Vec<u8>), InputError> {
    let work = tempfile::tempdir().unwrap();
    let limits = Limits { values_bytes_max: 5, ..Limits::default() };
    let staged = stage(chart, at, values, work.path(), &limits, &CancellationToken::new())?;
    let chart = std::fs::read(work.path().join(&staged.chart).join(CHART_YAML)).unwrap();
    for name in &staged.values {
        assert!(work.path().join(name).is_file());
    }
    Ok((staged, chart))
}

fn repository(charts: &[&str]) -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    for chart in charts {
        let folder = repository.path().join(chart);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(CHART_YAML), chart).unwrap();
    }
    repository
}

#[test]
fn a_chart_is_found_at_the_top_below_it_and_where_the_stage_says() {
    let cases: [(&[&str], &str, &str); 5] = [
        (&[""], "", "./chart"),
        (&["shop"], "", "./chart/shop"),
        (&["a", "charts/b"], "charts/b", "./chart/charts/b"),
        (&["a", "charts/b"], "./charts/", "./chart/charts/b"),
        (&["a", "charts/b"], "charts/b/Chart.yaml", "./chart/charts/b"),
    ];
    for (charts, at, expected) in cases {
        let repository = repository(charts);
        let (staged, _) = stage_from(&folder(repository.path()), at, &[]).unwrap();
        assert_eq!(staged.chart, expected, "{at}");
    }
}

#[test]
fn no_chart_is_said() {
    let repository = repository(&["a", "b"]);
    let error = stage_from(&folder(repository.path()), "", &[]).unwrap_err().to_string();
    assert!(error.starts_with("`repo` has no `Chart.yaml`; name the"), "{error}");
    let error = stage_from(&folder(repository.path()), "c", &[]).unwrap_err().to_string();
    assert!(error.starts_with("`repo` has no `Chart.yaml` in `c`; name the"), "{error}");
    for at in ["../a", "/a", "a/../../b"] {
        let error = stage_from(&folder(repository.path()), at, &[]).unwrap_err();
        assert!(matches!(error, InputError::Outside { .. }), "{at}: {error}");
    }
}

#[test]
fn values_files_keep_their_order() {
    let repository = repository(&[""]);
    let values = [bytes(b"a: 1"), bytes(b"b: 2")];
    let (staged, _) = stage_from(&folder(repository.path()), "", &values).unwrap();
    assert_eq!(staged.values, ["values-1.yaml", "values-2.yaml"]);
}

#[test]
fn values_files_have_a_limit() {
    let repository = repository(&[""]);
    let error = stage_from(&folder(repository.path()), "", &[bytes(b"abcdef")]).unwrap_err();
    assert_eq!(error.to_string(), "`x` is larger than 5 bytes (values_bytes_max)");
}
