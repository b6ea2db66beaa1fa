//! The stage type `bake`: images by Packer.

mod containers;
pub mod declared;
mod error;
pub mod image;
mod recipes;
pub mod record;
pub mod request;
mod run;
pub mod transcript;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{Capability, TaskAnswer, TaskResult};
use shared_plugin::{
    Effects, Ending, Secrets, StageDescriptor, StageType, TaskContext, TaskDescriptor, When,
};
use shared_runtime::Tools;

use crate::Limits;
use error::BakeError;
use image::Image;
use request::{Request, Template};

/// Orca's name of the task.
const TASK: &str = "createBake";

/// How images are baked here.
#[derive(Debug, Clone)]
pub struct PackerConfig {
    /// How tools are run. Packer may take their `kill_grace` to remove what it made half.
    pub tools: Tools,
    /// Packer: a name to look for on the tools' path, or a path.
    pub packer: String,
    /// Where templates lie, with the files that they name; nothing outside is read.
    pub recipes: PathBuf,
    /// Where `local/file` artifacts lie; nothing outside is read.
    pub artifact_root: PathBuf,
    /// Whether a template may come from an artifact (D27): it can run any program.
    pub artifact_templates: bool,
    /// Variables of Packer's environment, beside `PATH` and those that keep it in its folder:
    /// `DOCKER_HOST`, or the credentials of a cloud.
    pub env: Vec<(String, String)>,
    /// How long the bake of one region may take.
    pub timeout: Duration,
    /// How long a whole stage may take where the document does not say.
    pub stage_timeout: Duration,
    /// Limits on what goes in.
    pub limits: Limits,
}

impl PackerConfig {
    /// `packer` from the tools' path, an hour for a region, a minute to clean up.
    pub fn new(mut tools: Tools, recipes: PathBuf, artifact_root: PathBuf) -> Self {
        tools.limits.finish_grace = Duration::from_secs(5);
        tools.limits.kill_grace = Duration::from_secs(60);
        Self {
            tools,
            packer: "packer".into(),
            recipes,
            artifact_root,
            artifact_templates: true,
            env: Vec::new(),
            timeout: Duration::from_secs(60 * 60),
            stage_timeout: Duration::from_secs(4 * 60 * 60),
            limits: Limits::default(),
        }
    }
}

/// Bakes images with Packer, one region after another.
#[derive(Debug, Clone)]
pub struct Bake {
    config: PackerConfig,
    secrets: Secrets,
}

impl Bake {
    /// The stage type under a configuration.
    pub fn new(config: PackerConfig) -> Self {
        Self { config, secrets: Secrets::default() }
    }

    /// The same with what references to secrets mean in `extendedAttributes` (D26).
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }
}

#[async_trait]
impl StageType for Bake {
    fn describe(&self) -> StageDescriptor {
        let task = TaskDescriptor {
            name: TASK.to_owned(),
            capability: Capability::new("bake.packer"),
            effects: Effects::Keyed,
            when: When::Always,
        };
        let timeout = self.config.stage_timeout;
        StageDescriptor {
            name: "bake".to_owned(),
            aliases: Vec::new(),
            summary: "Bakes machine and container images with Packer.".to_owned(),
            schema: schema(),
            tasks: vec![task],
            timeout: SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX),
        }
    }

    async fn run(&self, _task: &str, cx: &TaskContext) -> TaskAnswer {
        let mut baked = Vec::new();
        let request = match self.read(cx).await {
            Ok(request) => request,
            Err(error) => return failed(error, None, &baked),
        };
        match self.bake(cx, &request, &mut baked).await {
            Ok(()) => TaskAnswer::Succeeded { result: result(&request, &baked) },
            Err(error) if error.is_cancel() => match cx.end.why() {
                // Begun again elsewhere, under the same key.
                Some(Ending::HandOver) => cx.handed_over(),
                Some(Ending::Cancel) | None => {
                    TaskAnswer::Canceled { result: result(&request, &baked) }
                }
            },
            Err(error) => failed(error, Some(&request), &baked),
        }
    }
}

impl Bake {
    async fn read(&self, cx: &TaskContext) -> Result<Request, BakeError> {
        let mut request = Request::read(cx.context())?;
        for (name, value) in &mut request.attributes {
            let at = format!("/extendedAttributes/{}", name.replace('~', "~0").replace('/', "~1"));
            let revealed = cx.reveal(&self.secrets, &at, value).await;
            *value = revealed.map_err(|why| BakeError::Secret { name: name.clone(), why })?;
        }
        Ok(request)
    }

    /// Each region has an ordinal of its own: one that was baked is found again after a crash.
    async fn bake(
        &self,
        cx: &TaskContext,
        request: &Request,
        baked: &mut Vec<Image>,
    ) -> Result<(), BakeError> {
        if let Template::Artifact(field) = request.template
            && !self.config.artifact_templates
        {
            return Err(BakeError::ArtifactsOff(field));
        }
        for (ordinal, region) in (0_u32..).zip(&request.regions) {
            if request.regions.len() > 1 {
                cx.log.line(&format!("baking for {region}")).await;
            }
            baked.extend(self.bake_region(cx, request, region, ordinal).await?);
        }
        Ok(())
    }
}

fn failed(error: BakeError, request: Option<&Request>, baked: &[Image]) -> TaskAnswer {
    let before: Vec<String> =
        baked.iter().map(|image| format!("{} ({})", image.reference, image.region)).collect();
    let result = request.map(|request| result(request, baked)).unwrap_or_default();
    TaskAnswer::Failed { retry: error.retry(), error: error.into_task_error(&before), result }
}

/// What later stages see: of several images the first also by itself, as Spinnaker's child stages
/// have it.
fn result(request: &Request, baked: &[Image]) -> TaskResult {
    let details: Vec<Value> = baked.iter().map(|image| image.detail(request)).collect();
    let mut result = TaskResult::default();
    let Some(first) = details.first() else { return result };
    for field in ["ami", "amiName", "imageId", "imageName"] {
        result.context.insert(field.into(), first[field].clone());
    }
    result.outputs.insert("deploymentDetails".into(), details.into());
    result.artifacts = baked.iter().map(Image::artifact).collect();
    result
}

/// JSON Schema of the stage's own fields. Expressions may stand for any text.
fn schema() -> Value {
    let text = || json!({"type": "string"});
    let flag = || json!({"type": ["boolean", "string"]});
    let artifact = || json!({"type": ["object", "null"]});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "templateFileName": {"type": "string", "description": "a Packer template in the recipe folder"},
            "varFileName": {"type": "string", "description": "a file of variables in the recipe folder"},
            "packerTemplateId": {"type": "string", "description": "an expected artifact that is a template"},
            "packerTemplate": artifact(),
            "templateArtifactId": text(),
            "templateArtifact": artifact(),
            "extendedAttributes": {"type": "object", "description": "variables of the template"},
            "region": text(),
            "regions": {"type": ["array", "string"], "description": "one bake each"},
            "cloudProviderType": text(),
            "package": text(),
            "packageType": text(),
            "baseOs": text(),
            "baseLabel": text(),
            "baseAmi": text(),
            "amiName": text(),
            "amiSuffix": text(),
            "vmType": text(),
            "storeType": text(),
            "upstart": text(),
            "rebake": flag(),
            "skipRegionDetection": flag(),
            "expectedArtifacts": {"type": "array"},
        },
    })
}
