//! Why nothing was baked.

use std::path::PathBuf;

use shared_model::{Retry, TaskError};
use shared_plugin::SecretError;
use shared_runtime::ToolError;

use crate::InputError;
use crate::recipe::RecipeError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BakeError {
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(
        "`{field}` names a file in the folder of recipes, but `{folder}` is no folder; name the one \
         that Packer templates lie in with --recipes"
    )]
    NoRecipes { field: &'static str, folder: PathBuf },
    #[error("`{field}: {name}` is no file in the folder of recipes, `{folder}` (--recipes)")]
    NoRecipe { field: &'static str, name: String, folder: PathBuf },
    #[error("`extendedAttributes.{name}` names a secret, and {why}")]
    Secret { name: String, why: SecretError },
    #[error("`{0}` names no artifact")]
    NoArtifact(&'static str),
    #[error(
        "`{0}`: templates from artifacts are off here, for a template can run any program; use \
         `templateFileName`, a file in the folder of recipes"
    )]
    ArtifactsOff(&'static str),
    #[error("the template `{0}` is not UTF-8")]
    NoText(String),
    #[error("packer could not bake `{template}` (exit code {code})")]
    Packer { template: String, code: i32, said: Vec<String> },
    #[error(
        "packer ended well, but did not say that `{template}` made an image; let its builder keep \
         what it makes (of `docker`: `commit`), and look at the stage's log"
    )]
    NoImage { template: String },
    #[error("what packer wrote cannot be read: {0}")]
    Output(String),
    #[error("failed to read the recipes: {0}")]
    Staging(String),
}

impl BakeError {
    pub(crate) fn is_cancel(&self) -> bool {
        matches!(self, Self::Tool(ToolError::Cancelled { .. }) | Self::Input(InputError::Cancelled))
    }

    /// Whether another attempt can help. A run of Packer that ended is not repeated under its key.
    pub(crate) fn retry(&self) -> Retry {
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
            | Self::NoRecipes { .. }
            | Self::NoRecipe { .. }
            | Self::NoArtifact(_)
            | Self::Secret { .. }
            | Self::ArtifactsOff(_)
            | Self::NoText(_)
            | Self::Packer { .. }
            | Self::NoImage { .. }
            | Self::Output(_)
            | Self::Staging(_) => Retry::Never,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Recipe(_)
            | Self::NoRecipes { .. }
            | Self::NoRecipe { .. }
            | Self::ArtifactsOff(_)
            | Self::Secret { .. }
            | Self::NoText(_) => "BakeRecipe",
            Self::Input(InputError::Artifact(_) | InputError::Kind { .. })
            | Self::NoArtifact(_) => "ArtifactUnavailable",
            Self::Input(_) | Self::Staging(_) => "BakeInput",
            Self::Tool(ToolError::NotFound { .. }) => "ToolNotFound",
            Self::Tool(_) | Self::Output(_) => "ToolFailed",
            Self::Packer { .. } | Self::NoImage { .. } => "ImageNotBaked",
        }
    }

    /// For people, with what was baked before it.
    pub(crate) fn into_task_error(self, before: &[String]) -> TaskError {
        let first = TaskError::new(self.kind(), self.to_string());
        let said = match self {
            Self::Packer { said, .. } => said,
            Self::Recipe(_)
            | Self::Input(_)
            | Self::Tool(_)
            | Self::NoRecipes { .. }
            | Self::NoRecipe { .. }
            | Self::NoArtifact(_)
            | Self::Secret { .. }
            | Self::ArtifactsOff(_)
            | Self::NoText(_)
            | Self::NoImage { .. }
            | Self::Output(_)
            | Self::Staging(_) => Vec::new(),
        };
        let error = said.into_iter().fold(first, TaskError::and);
        before.iter().fold(error, |error, line| error.and(format!("baked before that: {line}")))
    }
}
