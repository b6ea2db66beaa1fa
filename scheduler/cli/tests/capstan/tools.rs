//! What the servers of journeys bake with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::file::file;

/// A helm that says two lines; between them it waits for as long as there is a file `hold`.
const HELM: &str = "\
#!/bin/sh
echo one >&2
while [ -e \"${0%/*}/hold\" ]; do sleep 0.05; done
echo two >&2
echo 'kind: A'
";

/// Writes a helm and a chart into a folder; where the helm is.
pub(crate) fn helm_and_chart(folder: &Path) -> PathBuf {
    let helm = file(folder, "helm", HELM);
    std::fs::set_permissions(&helm, PermissionsExt::from_mode(0o755)).unwrap();
    let chart = folder.join("chart");
    std::fs::create_dir_all(&chart).unwrap();
    file(&chart, "Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
    helm
}
