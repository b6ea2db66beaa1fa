//! The stage type `bakeManifest`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{Artifact, Capability, Retry, TaskAnswer, TaskError, TaskResult};
use shared_plugin::{
    Effects, Ending, StageDescriptor, StageLog, StageType, TaskContext, TaskDescriptor, When,
};
use shared_runtime::tool::{Finished, LineSink, Run, Stream};
use shared_runtime::{Opened, ToolError, ToolRun};

use crate::artifact::{Input, inputs};
use crate::chart::{self, Staged};
use crate::recipe::{Helm, RecipeError};
use crate::{Config, InputError, manifest};

/// Orca's name of the stage's own task; the scheduler adds the one that binds what it made.
const TASK: &str = "createBake";
/// What to do when helm is not there.
const HELM_HINT: &str = "install Helm 3 or 4 (https://helm.sh/docs/intro/install), add its folder \
                         to PATH, or say where it is: `capstan run --helm`, the setting `helm`";
/// How long the stage may take where the document does not say, beyond what helm may take.
const STAGING_ALLOWANCE: SignedDuration = SignedDuration::from_mins(10);
/// How long a stage waits where there is no room on the disk, before it looks again.
const ROOM_INTERVAL: SignedDuration = SignedDuration::from_secs(5);

/// Renders a chart into one `embedded/base64` artifact.
#[derive(Debug, Clone)]
pub struct BakeManifest {
    config: Config,
}

impl BakeManifest {
    /// The stage type under a configuration.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

#[async_trait]
impl StageType for BakeManifest {
    fn describe(&self) -> StageDescriptor {
        let task = TaskDescriptor {
            name: TASK.to_owned(),
            capability: Capability::new("bake.helm"),
            effects: Effects::Keyed,
            when: When::Always,
        };
        let helm = SignedDuration::try_from(self.config.timeout).unwrap_or(SignedDuration::MAX);
        StageDescriptor {
            name: "bakeManifest".to_owned(),
            aliases: Vec::new(),
            summary: "Renders a Helm chart into manifests.".to_owned(),
            schema: schema(),
            tasks: vec![task],
            timeout: helm.saturating_add(STAGING_ALLOWANCE),
        }
    }

    async fn run(&self, _task: &str, cx: &TaskContext) -> TaskAnswer {
        match self.bake(cx).await {
            Ok(result) => TaskAnswer::Succeeded { result },
            Err(BakeError::Tool(ToolError::Cancelled { .. }))
            | Err(BakeError::Input(InputError::Cancelled)) => match cx.end.why() {
                // Begun again elsewhere, under the same key.
                Some(Ending::HandOver) => cx.handed_over(),
                Some(Ending::Cancel) | None => {
                    TaskAnswer::Canceled { result: TaskResult::default() }
                }
            },
            Err(
                error @ (BakeError::Tool(ToolError::NoSpace { .. })
                | BakeError::Input(InputError::NoSpace)),
            ) => {
                // A full disk is no fault of the pipeline: it waits, as long as its time lasts.
                cx.log.line(&format!("{error}; it is tried again every {ROOM_INTERVAL:#}")).await;
                let result = TaskResult::default();
                TaskAnswer::Again { after: ROOM_INTERVAL, checkpoint: Value::Null, result }
            }
            Err(error) => {
                let retry = error.retry();
                TaskAnswer::Failed { error: error.into(), retry, result: TaskResult::default() }
            }
        }
    }
}

impl BakeManifest {
    async fn bake(&self, cx: &TaskContext) -> Result<TaskResult, BakeError> {
        let helm = Helm::read(cx.context())?;
        let name = output_name(cx)?;
        let (chart, values) = inputs(cx)?;
        let finished = match self.config.tools.open(cx.effect(0).as_str(), cx.end.token()).await? {
            Opened::Finished(finished) => {
                cx.log.line("helm had rendered this before; its result is used").await;
                finished
            }
            Opened::Fresh(run) => {
                let (run, staged) = self.stage(cx, &helm, &chart, &values, run).await?;
                self.render(cx, &helm, &staged, *run).await?
            }
        };
        let rendered = rendered(chart.name(), &finished)?;
        let content = base64::engine::general_purpose::STANDARD.encode(rendered);
        let artifacts = vec![Artifact::embedded(&name, content)];
        Ok(TaskResult { artifacts, ..TaskResult::default() })
    }

    /// Files are read on a thread of their own: a slow disk must not hold up others. The run folder
    /// goes there and back: should we be dropped meanwhile, it is held until the thread has left it.
    async fn stage(
        &self,
        cx: &TaskContext,
        helm: &Helm,
        chart: &Input,
        values: &[Input],
        run: Box<Run>,
    ) -> Result<(Box<Run>, Staged), BakeError> {
        let (chart, values) = (chart.clone(), values.to_vec());
        let (at, config) = (helm.chart_path.clone(), self.config.clone());
        let cancel = cx.end.token().child_token();
        let _when_dropped = cancel.clone().drop_guard();
        let staging = tokio::task::spawn_blocking(move || {
            let root = &config.artifact_root;
            let chart = chart.source(root)?;
            let values: Result<Vec<_>, _> = values.iter().map(|input| input.source(root)).collect();
            let staged =
                chart::stage(&chart, &at, &values?, run.folder(), &config.limits, &cancel)?;
            Ok((run, staged))
        });
        staging.await.map_err(|error| BakeError::Staging(error.to_string()))?
    }

    async fn render(
        &self,
        cx: &TaskContext,
        helm: &Helm,
        staged: &Staged,
        run: Run,
    ) -> Result<Finished, BakeError> {
        let shown = helm.shown(&staged.chart, &staged.values);
        cx.log.line(&format!("$ helm {shown}")).await;
        let order = ToolRun {
            program: self.config.helm.clone(),
            hint: HELM_HINT.to_owned(),
            args: helm.args(&staged.chart, &staged.values),
            env: environment(run.folder()),
            stdout_is_log: false,
            timeout: self.config.timeout,
        };
        Ok(run.start(&order, &Log(Arc::clone(&cx.log)), cx.end.token()).await?)
    }
}

/// Helm keeps caches, plugins and repositories at home; here it finds an empty one, so that what
/// a chart renders to depends on the chart alone.
fn environment(work: &Path) -> Vec<(String, String)> {
    let home = work.join("home");
    let at = |name: &str| home.join(name).to_string_lossy().into_owned();
    vec![
        ("HOME".into(), home.to_string_lossy().into_owned()),
        ("HELM_CACHE_HOME".into(), at("cache")),
        ("HELM_CONFIG_HOME".into(), at("config")),
        ("HELM_DATA_HOME".into(), at("data")),
        ("LANG".into(), "C.UTF-8".into()),
        ("NO_COLOR".into(), "1".into()),
    ]
}

/// The name of what the stage makes: the stage expects exactly one artifact, which has it.
fn output_name(cx: &TaskContext) -> Result<String, BakeError> {
    let expected = cx.context().get("expectedArtifacts").and_then(Value::as_array);
    let [expected] = expected.map(Vec::as_slice).unwrap_or_default() else {
        return Err(BakeError::Expected(expected.map_or(0, Vec::len)));
    };
    let name = expected.pointer("/matchArtifact/name").and_then(Value::as_str).unwrap_or_default();
    let name = if name.is_empty() { cx.text("outputName") } else { name };
    if name.is_empty() {
        return Err(BakeError::Unnamed);
    }
    Ok(name.to_owned())
}

fn rendered(chart: &str, finished: &Finished) -> Result<String, BakeError> {
    if finished.code != 0 {
        let (chart, code) = (chart.to_owned(), finished.code);
        return Err(BakeError::Helm { chart, code, said: finished.errors.clone() });
    }
    let bytes = std::fs::read(&finished.stdout)
        .map_err(InputError::io(&finished.stdout.to_string_lossy()))?;
    let text = String::from_utf8(bytes).map_err(|error| BakeError::NoText(error.to_string()))?;
    Ok(manifest::without_tests(&text))
}

/// Why nothing was baked.
#[derive(Debug, thiserror::Error)]
enum BakeError {
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(
        "a bakeManifest stage makes exactly one artifact, but `expectedArtifacts` has {0}; let it \
         have one of type `embedded/base64`"
    )]
    Expected(usize),
    #[error(
        "what is baked has no name; set `expectedArtifacts[0].matchArtifact.name` or `outputName`"
    )]
    Unnamed,
    #[error("helm could not render `{chart}` (exit code {code})")]
    Helm { chart: String, code: i32, said: Vec<String> },
    #[error("what helm rendered is not UTF-8: {0}")]
    NoText(String),
    #[error("failed to read the chart: {0}")]
    Staging(String),
}

impl BakeError {
    /// Whether another attempt can help. The same chart renders to the same result.
    fn retry(&self) -> Retry {
        match self {
            Self::Tool(
                ToolError::Killed { .. } | ToolError::Busy { .. } | ToolError::Failed { .. },
            ) => Retry::Later,
            Self::Tool(
                ToolError::NotFound { .. }
                | ToolError::TimedOut { .. }
                | ToolError::Cancelled { .. }
                | ToolError::TooMuchOutput { .. }
                | ToolError::NoSpace { .. },
            )
            | Self::Recipe(_)
            | Self::Input(_)
            | Self::Expected(_)
            | Self::Unnamed
            | Self::Helm { .. }
            | Self::NoText(_)
            | Self::Staging(_) => Retry::Never,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Recipe(_) | Self::Expected(_) | Self::Unnamed => "BakeRecipe",
            Self::Input(InputError::Artifact(_) | InputError::Kind { .. }) => "ArtifactUnavailable",
            Self::Input(_) | Self::Staging(_) => "BakeInput",
            Self::Tool(ToolError::NotFound { .. }) => "ToolNotFound",
            Self::Tool(_) => "ToolFailed",
            Self::Helm { .. } | Self::NoText(_) => "ChartNotRendered",
        }
    }
}

impl From<BakeError> for TaskError {
    fn from(error: BakeError) -> Self {
        let first = Self::new(error.kind(), error.to_string());
        match error {
            BakeError::Helm { said, .. } => said.into_iter().fold(first, Self::and),
            BakeError::Recipe(_)
            | BakeError::Input(_)
            | BakeError::Tool(_)
            | BakeError::Expected(_)
            | BakeError::Unnamed
            | BakeError::NoText(_)
            | BakeError::Staging(_) => first,
        }
    }
}

/// Helm's words in the stage's log.
struct Log(Arc<dyn StageLog>);

#[async_trait]
impl LineSink for Log {
    async fn line(&self, _: Stream, text: &str) {
        self.0.line(text).await;
    }
}

/// JSON Schema of the stage's own fields. Expressions may stand for any text, so patterns are left
/// to the recipe.
fn schema() -> Value {
    let text = || json!({"type": "string"});
    let flag = || json!({"type": ["boolean", "string"]});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["templateRenderer", "inputArtifacts", "expectedArtifacts"],
        "properties": {
            "templateRenderer": {"type": "string", "description": "HELM3, in any case"},
            "inputArtifacts": {
                "type": "array",
                "minItems": 1,
                "description": "the chart, then values files in order",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": text(), "account": text(), "artifact": {"type": ["object", "null"]},
                    },
                },
            },
            "expectedArtifacts": {"type": "array", "minItems": 1, "maxItems": 1},
            "outputName": {"type": "string", "description": "name of the release"},
            "namespace": text(),
            "overrides": {"type": "object"},
            "rawOverrides": flag(),
            "evaluateOverrideExpressions": flag(),
            "includeCRDs": flag(),
            "apiVersions": {"type": "array", "items": text()},
            "kubeVersion": text(),
            "helmChartFilePath": text(),
        },
    })
}
