//! Why what a baking needs cannot be had.

use std::io;
use std::path::PathBuf;

use shared_plugin::ArtifactError;

/// Why a chart or a values file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The stage names no chart.
    #[error(
        "`inputArtifacts` is empty; its first entry is the chart, further ones are values files"
    )]
    None,
    /// An entry of `inputArtifacts` is no reference to an artifact.
    #[error("`{field}` must be an object with the `id` of an expected artifact, or an `artifact`")]
    NoReference {
        /// The entry.
        field: String,
    },
    /// The artifact is not bound, or its content is damaged.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Artifacts of that type are not fetched.
    #[error(
        "`{field}` has the type `{kind}`, which is not fetched here yet; use `local/file` (a path \
         under the artifact root) or `embedded/base64`"
    )]
    Kind {
        /// The entry.
        field: String,
        /// The artifact's type.
        kind: String,
    },
    /// A path leads out of where it has to stay.
    #[error("`{path}` leads out of `{root}`; only what lies inside is read")]
    Outside {
        /// The path, as it was written.
        path: String,
        /// Where it has to stay.
        root: PathBuf,
    },
    /// Something that is no file and no folder.
    #[error("`{path}` is neither a file nor a folder; links to elsewhere and devices are refused")]
    Special {
        /// Where.
        path: String,
    },
    /// It is too large.
    #[error("`{path}` is larger than {bytes_max} bytes ({limit})")]
    TooLarge {
        /// What.
        path: String,
        /// The limit.
        bytes_max: u64,
        /// Its name.
        limit: &'static str,
    },
    /// It has too many parts.
    #[error("`{path}` has more than {entries_max} files and folders (chart_entries_max)")]
    TooMany {
        /// What.
        path: String,
        /// The limit.
        entries_max: u64,
    },
    /// It unpacks to far more than it is.
    #[error("`{path}` unpacks to more than {ratio_max} times its size (archive_ratio_max)")]
    Ratio {
        /// What.
        path: String,
        /// The limit.
        ratio_max: u64,
    },
    /// It is no archive.
    #[error("`{path}` is no chart archive (tar, gzip): {why}")]
    NoArchive {
        /// What.
        path: String,
        /// Where it breaks.
        why: String,
    },
    /// It has no chart.
    #[error("`{path}` has no `Chart.yaml`{place}; {hint}")]
    NoChart {
        /// What.
        path: String,
        /// Where it was looked for.
        place: String,
        /// What to do.
        hint: &'static str,
    },
    /// It cannot be read or copied.
    #[error("`{path}` cannot be read: {why}")]
    Io {
        /// What.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// It is not there.
    #[error(
        "`{path}` is not there; a local path begins below the folder of local artifacts \
         (`capstan run --artifacts-root`)"
    )]
    NotFound {
        /// What.
        path: String,
    },
    /// There is no room for it.
    #[error("no space is left on the device of the data folder; free some and run it again")]
    NoSpace,
    /// The stage was told to end.
    #[error("cancelled while what is baked from was read")]
    Cancelled,
}

impl InputError {
    pub(crate) fn io(path: &str) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |why| {
            if is_no_space(&why) {
                return Self::NoSpace;
            }
            let path = path.to_owned();
            if why.kind() == io::ErrorKind::NotFound {
                return Self::NotFound { path };
            }
            Self::Io { path, why }
        }
    }
}

/// Whether a disk or a quota is full.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_blamed_on_the_chart() {
        let full = io::Error::from(nix::errno::Errno::ENOSPC);
        assert!(matches!(InputError::io("chart")(full), InputError::NoSpace));
        let denied = io::Error::from(nix::errno::Errno::EACCES);
        assert!(matches!(InputError::io("chart")(denied), InputError::Io { .. }));
    }
}
