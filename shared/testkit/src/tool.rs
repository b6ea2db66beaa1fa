//! The tools that the tests run on: names, versions, where they come from.

/// How a tool is made when it is neither on the `PATH` nor in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A `tool` line of `cluster/go.mod`.
    ClusterModule {
        /// The Go package of the command.
        package: &'static str,
    },
    /// An environment of Python with packages from PyPI; its program runs the module `<name>.cli`.
    Python {
        /// Its packages, each in one version.
        requirements: &'static str,
    },
    /// A module that `go install` builds by itself.
    GoInstall {
        /// The Go package of the command, without its version.
        package: &'static str,
    },
}

/// One tool in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The name of its program.
    pub name: &'static str,
    /// Its version, without a leading `v`.
    pub version: &'static str,
    /// Arguments that make it print its version.
    pub version_args: &'static [&'static str],
    /// How it is built.
    pub source: Source,
}

/// The version of Kubernetes that the stack runs.
pub const KUBERNETES_VERSION: &str = "1.36.3";

/// etcd: Debian's own (3.4) is too old for this Kubernetes, whose watches need progress requests.
pub const ETCD: Tool = Tool {
    name: "etcd",
    version: "3.6.8",
    version_args: &["--version"],
    source: Source::ClusterModule { package: "go.etcd.io/etcd/server/v3" },
};
/// The API server.
pub const KUBE_APISERVER: Tool =
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver");
/// The controllers.
pub const KUBE_CONTROLLER_MANAGER: Tool =
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager");
/// The scheduler of Kubernetes.
pub const KUBE_SCHEDULER: Tool =
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler");
/// KWOK, which stands in for the kubelets.
pub const KWOK: Tool = Tool {
    name: "kwok",
    version: "0.8.0",
    version_args: &["--version"],
    source: Source::GoInstall { package: "sigs.k8s.io/kwok/cmd/kwok" },
};
/// MinIO, an object store that speaks S3. Its module has no versions: this is the last state of it.
pub const MINIO: Tool = Tool {
    name: "minio",
    version: "0.0.0-20260212201848-7aac2a2c5b7c",
    version_args: &["--version"],
    source: Source::GoInstall { package: "github.com/minio/minio" },
};
/// Temporal with a server for developers, beside which we are measured. Newer versions cannot be installed
/// alone: their module refers to a folder beside it.
pub const TEMPORAL: Tool = Tool {
    name: "temporal",
    version: "1.5.1",
    version_args: &["--version"],
    source: Source::GoInstall { package: "github.com/temporalio/cli/cmd/temporal" },
};
/// Schemathesis, which makes requests up from the description of an API.
pub const SCHEMATHESIS: Tool = Tool {
    name: "schemathesis",
    version: "4.32.5",
    version_args: &["--version"],
    source: Source::Python { requirements: include_str!("../python/requirements.txt") },
};
/// Helm 3.
pub const HELM3: Tool = helm("3.21.4", "helm.sh/helm/v3/cmd/helm");
/// Helm 4.
pub const HELM4: Tool = helm("4.2.4", "helm.sh/helm/v4/cmd/helm");

const fn kubernetes(name: &'static str, package: &'static str) -> Tool {
    Tool {
        name,
        version: KUBERNETES_VERSION,
        version_args: &["--version"],
        source: Source::ClusterModule { package },
    }
}

const fn helm(version: &'static str, package: &'static str) -> Tool {
    Tool {
        name: "helm",
        version,
        version_args: &["version", "--short"],
        source: Source::GoInstall { package },
    }
}

impl Tool {
    /// Its folder in the cache: `<tool>-<version>`.
    pub fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Whether `output`, printed by a program of this name, is of the version asked for.
    pub fn is_version(&self, output: &str) -> bool {
        output
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'))
            .any(|word| word.trim_start_matches('v') == self.version)
    }

    /// Whether `KUBEBUILDER_ASSETS`, the folder that controller tests share, may hold it.
    pub fn is_kubebuilder_asset(&self) -> bool {
        matches!(self.name, "etcd" | "kube-apiserver")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_whole_word() {
        assert!(KUBE_APISERVER.is_version("Kubernetes v1.36.3\n"));
        assert!(ETCD.is_version("etcd Version: 3.6.8\nGit SHA: x"));
        assert!(KWOK.is_version("kwok version v0.8.0 go1.26.8 (linux/amd64)"));
        assert!(HELM3.is_version("v3.21.4+g1a2b3c"));
        assert!(!KUBE_APISERVER.is_version("Kubernetes v1.36.30"));
        assert!(!KUBE_APISERVER.is_version("Kubernetes v1.36.3-rc.1"));
        assert!(!HELM3.is_version("v4.2.4"));
    }
}
