//! Brings a chart and its values files to where helm reads them.

use std::path::{Component, Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::artifact::{Place, Source};
use crate::{InputError, Limits, archive, local};

/// The folder in the tool's working folder that the chart's artifact is put in.
const CHART: &str = "chart";
const CHART_YAML: &str = "Chart.yaml";

/// What helm is told: names in its working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) chart: String,
    pub(crate) values: Vec<String>,
}

/// Puts everything into `work`, which is empty. `chart_path` says where the chart is inside its
/// artifact.
pub(crate) fn stage(
    chart: &Source,
    chart_path: &str,
    values: &[Source],
    work: &Path,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Staged, InputError> {
    let folder = work.join(CHART);
    std::fs::create_dir(&folder).map_err(InputError::io(CHART))?;
    put_chart(chart, &folder, limits, cancel)?;
    let found = find_chart(&chart.name, &folder, chart_path)?;
    let relative = found.strip_prefix(work).unwrap_or(&found).to_string_lossy();
    let mut names = Vec::new();
    for (index, source) in values.iter().enumerate() {
        let name = format!("values-{}.yaml", index + 1);
        put_values(source, &work.join(&name), limits)?;
        names.push(name);
    }
    Ok(Staged { chart: format!("./{relative}"), values: names })
}

fn put_chart(
    source: &Source,
    to: &Path,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<(), InputError> {
    let name = &source.name;
    match &source.place {
        Place::Bytes(bytes) => {
            archive::unpack(&bytes[..], bytes.len() as u64, name, to, limits, cancel)
        }
        Place::Local { path, root } if path.is_dir() => {
            local::copy_folder(path, root, to, limits, cancel)
        }
        Place::Local { path, .. } => {
            let file = local::open(path, name)?;
            let bytes = file.metadata().map_err(InputError::io(name))?.len();
            if bytes > limits.chart_bytes_max {
                let (path, bytes_max) = (name.clone(), limits.chart_bytes_max);
                return Err(InputError::TooLarge { path, bytes_max, limit: "chart_bytes_max" });
            }
            archive::unpack(file, bytes, name, to, limits, cancel)
        }
    }
}

fn put_values(source: &Source, to: &Path, limits: &Limits) -> Result<(), InputError> {
    let bytes = source.bytes(limits.values_bytes_max, "values_bytes_max")?;
    std::fs::write(to, bytes).map_err(InputError::io(&source.name))
}

/// The chart is at the top, or where the stage says; a packaged chart has its own folder there.
fn find_chart(name: &str, folder: &Path, chart_path: &str) -> Result<PathBuf, InputError> {
    let outside = || InputError::Outside { path: chart_path.to_owned(), root: name.into() };
    let mut top = folder.to_owned();
    for part in Path::new(chart_path).components() {
        match part {
            Component::Normal(part) => top.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(outside());
            }
        }
    }
    // Some name the file, not its folder.
    if top.is_file() && top.ends_with(CHART_YAML) {
        top.pop();
    }
    if is_chart(&top) {
        return Ok(top);
    }
    if let Some(only) = only_folder(&top).filter(|only| is_chart(only)) {
        return Ok(only);
    }
    let place = if chart_path.is_empty() { String::new() } else { format!(" in `{chart_path}`") };
    let hint = "name the chart's folder or archive, or its place inside by `helmChartFilePath`";
    Err(InputError::NoChart { path: name.to_owned(), place, hint })
}

fn is_chart(folder: &Path) -> bool {
    folder.join(CHART_YAML).is_file()
}

/// The only folder in a folder, whatever files lie beside it.
fn only_folder(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let only = folders.next()?;
    folders.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests;
