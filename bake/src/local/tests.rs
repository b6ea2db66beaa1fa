use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// `root` with a chart inside, `outside` with a secret beside it.
fn scene() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("chart/templates")).unwrap();
    std::fs::create_dir_all(folder.path().join("outside")).unwrap();
    std::fs::write(root.join("chart/Chart.yaml"), "name: c").unwrap();
    std::fs::write(root.join("chart/templates/a.yaml"), "a: 1").unwrap();
    std::fs::write(folder.path().join("outside/secret"), "s3cret").unwrap();
    (folder, root)
}

fn copy(root: &Path, from: &str, limits: &Limits) -> Result<TempDir, InputError> {
    let to = tempfile::tempdir().unwrap();
    let (path, root) = resolve(root, from)?;
    copy_folder(&path, &root, to.path(), limits, &CancellationToken::new())?;
    Ok(to)
}

#[test]
fn a_path_is_found_inside_however_it_is_written() {
    let (_folder, root) = scene();
    let real = root.canonicalize().unwrap().join("chart");
    let absolute = real.to_string_lossy().into_owned();
    for path in ["chart", "./chart/", "chart/templates/..", absolute.as_str()] {
        assert_eq!(resolve(&root, path).unwrap().0, real, "{path}");
    }
}

#[test]
fn a_path_that_leads_outside_is_refused() {
    let (folder, root) = scene();
    symlink(folder.path().join("outside"), root.join("link")).unwrap();
    let absolute = folder.path().join("outside/secret").to_string_lossy().into_owned();
    let paths =
        ["../outside/secret", "chart/../../outside", "..", "/etc/passwd", "link/secret", &absolute];
    for path in paths {
        let error = resolve(&root, path).unwrap_err();
        assert!(matches!(error, InputError::Outside { .. }), "{path}: {error}");
    }
}

#[test]
fn a_missing_path_is_named() {
    let (_folder, root) = scene();
    let error = resolve(&root, "nothing").unwrap_err().to_string();
    assert!(error.starts_with("`nothing` is not there"), "{error}");
    assert!(error.contains("--artifacts-root"), "{error}");
}

#[test]
fn what_may_be_run_can_be_run_where_it_was_copied_to() {
    let (_folder, root) = scene();
    let script = root.join("chart/install.sh");
    std::fs::write(&script, "exit 0").unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o750)).unwrap();
    let copied = copy(&root, "chart", &Limits::default()).unwrap();
    let mode = |name: &str| copied.path().join(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("install.sh") & 0o777, 0o750);
    assert_eq!(mode("Chart.yaml") & 0o111, 0);
}

#[test]
fn a_folder_is_copied_with_links_that_stay_inside() {
    let (_folder, root) = scene();
    std::fs::write(root.join("shared.yaml"), "shared").unwrap();
    symlink("../../shared.yaml", root.join("chart/templates/shared.yaml")).unwrap();
    std::fs::create_dir(root.join("chart/.git")).unwrap();
    let to = copy(&root, "chart", &Limits::default()).unwrap();
    assert_eq!(std::fs::read_to_string(to.path().join("templates/shared.yaml")).unwrap(), "shared");
    assert!(to.path().join("Chart.yaml").is_file());
    assert!(!to.path().join(".git").exists());
}

#[test]
fn a_link_out_of_the_root_is_refused() {
    for target in ["../../../outside/secret", "/etc/passwd", "../../../outside"] {
        let (_folder, root) = scene();
        symlink(target, root.join("chart/templates/link")).unwrap();
        let error = copy(&root, "chart", &Limits::default()).unwrap_err();
        assert!(matches!(error, InputError::Outside { .. }), "{target}: {error}");
    }
}

#[test]
fn links_in_circles_end_at_a_limit() {
    let (_folder, root) = scene();
    symlink("..", root.join("chart/templates/up")).unwrap();
    let error = copy(&root, "chart", &Limits::default()).unwrap_err();
    assert!(matches!(error, InputError::TooMany { .. }), "{error}");
}

#[test]
fn pipes_and_devices_are_refused_without_waiting() {
    let (_folder, root) = scene();
    nix::unistd::mkfifo(&root.join("chart/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = copy(&root, "chart", &Limits::default()).unwrap_err();
    assert!(matches!(error, InputError::Special { .. }), "{error}");
}

#[test]
fn a_chart_has_limits() {
    let (_folder, root) = scene();
    let few = Limits { chart_entries_max: 2, ..Limits::default() };
    let error = copy(&root, "chart", &few).unwrap_err();
    assert!(matches!(error, InputError::TooMany { entries_max: 2, .. }), "{error}");
    let enough = Limits { chart_entries_max: 3, chart_bytes_max: 11, ..Limits::default() };
    copy(&root, "chart", &enough).unwrap();
    let small = Limits { chart_bytes_max: 10, ..Limits::default() };
    let error = copy(&root, "chart", &small).unwrap_err().to_string();
    assert_eq!(error, "`chart` is larger than 10 bytes (chart_bytes_max)");
}

#[test]
fn a_root_that_holds_the_copy_is_not_copied_into_it() {
    let (_folder, root) = scene();
    let to = root.join(".data/work");
    std::fs::create_dir_all(&to).unwrap();
    let (path, real) = resolve(&root, ".").unwrap();
    let to = to.canonicalize().unwrap();
    copy_folder(&path, &real, &to, &Limits::default(), &CancellationToken::new()).unwrap();
    assert!(to.join("chart/Chart.yaml").is_file());
    assert!(!to.join(".data").exists());
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let (_folder, root) = scene();
    let (path, _) = resolve(&root, "chart/Chart.yaml").unwrap();
    assert_eq!(read(&path, "c", 7, "x").unwrap(), b"name: c");
    assert!(matches!(read(&path, "c", 6, "x"), Err(InputError::TooLarge { .. })));
    let (folder, _) = resolve(&root, "chart").unwrap();
    assert!(matches!(read(&folder, "c", 7, "x"), Err(InputError::Special { .. })));
}
