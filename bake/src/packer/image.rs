//! What Packer made → what later stages get to know of it. Pure.

use serde_json::{Value, json};
use shared_model::{Artifact, Object};

use super::request::Request;
use super::transcript::{Build, Made, Transcript};

/// An image that was baked for a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The region.
    pub region: String,
    /// The cloud that it is for, in Spinnaker's words, e.g. `docker`, `aws`.
    pub cloud: String,
    /// How the cloud finds it: a name with a tag, or an id.
    pub reference: String,
    /// Its name, without a tag.
    pub name: String,
    /// Its tag, or else its id.
    pub version: String,
    /// The id of its content, where that is another thing than `reference`.
    pub id: String,
}

/// The images of one run of Packer, one for each build that made one.
pub fn images(transcript: &Transcript, request: &Request, region: &str) -> Vec<Image> {
    transcript.builds.iter().filter_map(|build| image(build, request, region)).collect()
}

fn image(build: &Build, request: &Request, region: &str) -> Option<Image> {
    // The builder `null` makes nothing, and says so.
    let is_something = |made: &&Made| made.is_whole && !["", "Null"].contains(&made.id.as_str());
    let whole = || build.artifacts.iter().filter(is_something);
    // Of several steps the last one counts, and an image more than what was written about it.
    let made = whole().rfind(|made| is_docker(made)).or_else(|| whole().next_back())?;
    let fallback = [request.image_name.as_str(), request.package.as_str(), build.target.as_str()];
    let fallback = fallback.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let image = if is_docker(made) {
        let content = whole().rfind(|made| made.id.starts_with("sha256:"));
        docker(made, content.map_or("", |made| made.id.as_str()), fallback)
    } else {
        of_cloud(made, request, region, fallback)
    };
    Some(Image { region: region.to_owned(), ..image })
}

fn is_docker(made: &Made) -> bool {
    made.builder.contains("docker")
}

/// Of an image with several tags the first one counts that means this very image: `latest` is
/// another one tomorrow.
fn reference(made: &Made) -> &str {
    let tags = made.words.split_once(" with tags ").map(|(_, tags)| tags.split_whitespace());
    let mut tags = tags.into_iter().flatten();
    tags.find(|tag| !tag.ends_with(":latest")).unwrap_or(&made.id)
}

fn docker(made: &Made, content: &str, fallback: &str) -> Image {
    let reference = reference(made);
    let (name, version) = match reference.rsplit_once(':') {
        _ if reference.starts_with("sha256:") => (fallback, reference),
        // A port of a registry is no tag.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (reference, ""),
    };
    Image {
        region: String::new(),
        cloud: "docker".into(),
        reference: reference.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        id: content.to_owned(),
    }
}

fn of_cloud(made: &Made, request: &Request, region: &str, fallback: &str) -> Image {
    let reference = id_in(&made.id, region);
    Image {
        region: String::new(),
        cloud: cloud(made, request),
        name: fallback.to_owned(),
        version: reference.clone(),
        id: reference.clone(),
        reference,
    }
}

/// Amazon's ids read `region:ami,region:ami`.
fn id_in(id: &str, region: &str) -> String {
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let pairs: Option<Vec<(&str, &str)>> = id.split(',').map(|pair| pair.split_once(':')).collect();
    let pairs = pairs.filter(|pairs| pairs.iter().all(|(of, id)| is_word(of) && is_word(id)));
    let pairs = pairs.unwrap_or_default();
    let here = pairs.iter().find(|(of, _)| *of == region).or_else(|| pairs.first());
    here.map_or(id, |(_, id)| id).to_owned()
}

fn cloud(made: &Made, request: &Request) -> String {
    if !request.cloud.is_empty() {
        return request.cloud.clone();
    }
    let known = [("amazon", "aws"), ("google", "gce"), ("azure", "azure"), ("oracle", "oracle")];
    let found = known.iter().find(|(part, _)| made.builder.to_ascii_lowercase().contains(part));
    found.map_or("packer", |(_, cloud)| cloud).to_owned()
}

impl Image {
    /// An entry of `deploymentDetails`.
    pub fn detail(&self, request: &Request) -> Value {
        json!({
            "ami": self.reference,
            "amiName": self.full_name(),
            "imageId": self.reference,
            "imageName": self.full_name(),
            "region": self.region,
            "cloudProvider": self.cloud,
            "cloudProviderType": self.cloud,
            "package": request.package,
        })
    }

    /// The artifact that later stages bind.
    pub fn artifact(&self) -> Artifact {
        let mut artifact = Object::new();
        artifact.insert("type".into(), format!("{}/image", self.cloud).into());
        artifact.insert("name".into(), self.name.clone().into());
        artifact.insert("version".into(), self.version.clone().into());
        if self.cloud != "docker" {
            artifact.insert("location".into(), self.region.clone().into());
        }
        artifact.insert("reference".into(), self.reference.clone().into());
        artifact.insert("metadata".into(), json!({"imageId": self.id}));
        Artifact(artifact)
    }

    fn full_name(&self) -> &str {
        if self.reference.starts_with("sha256:") || self.cloud != "docker" {
            &self.name
        } else {
            &self.reference
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(context: Value) -> Request {
        let mut context = context.as_object().unwrap().clone();
        context.insert("templateFileName".into(), "t.json".into());
        Request::read(&context).unwrap()
    }

    fn transcript(steps: &[(&str, &str)]) -> Transcript {
        let lines = steps.iter().enumerate().map(|(at, (builder, id))| {
            let id = id.replace(',', "%!(PACKER_COMMA)");
            let head = format!("1,t,artifact,{at}");
            format!("{head},builder-id,{builder}\n{head},id,{id}\n{head},end\n")
        });
        Transcript::read(lines.collect::<String>().as_bytes()).unwrap()
    }

    fn one(steps: &[(&str, &str)], context: Value, region: &str) -> Image {
        let mut images = images(&transcript(steps), &request(context), region);
        assert_eq!(images.len(), 1, "{images:?}");
        images.remove(0)
    }

    const IMPORT: &str = "packer.post-processor.docker-import";
    const TAG: &str = "packer.post-processor.docker-tag";

    #[test]
    fn an_image_is_known_by_its_last_tag() {
        for (steps, name, version, reference, id) in [
            (vec![(IMPORT, "sha256:b9")], "t", "sha256:b9", "sha256:b9", "sha256:b9"),
            (
                vec![(IMPORT, "sha256:b9"), (TAG, "r:5000/shop:7"), (IMPORT, "r:5000/shop:7")],
                "r:5000/shop",
                "7",
                "r:5000/shop:7",
                "sha256:b9",
            ),
            (vec![(TAG, "r:5000/shop")], "r:5000/shop", "", "r:5000/shop", ""),
            (
                vec![(TAG, "shop:7"), ("packer.post-processor.checksum", "sums.txt")],
                "shop",
                "7",
                "shop:7",
                "",
            ),
        ] {
            let image = one(&steps, json!({"cloudProviderType": "docker"}), "global");
            let found = [&image.name, &image.version, &image.reference, &image.id];
            assert_eq!(found, [name, version, reference, id], "{steps:?}");
            assert_eq!(image.cloud, "docker");
        }
    }

    #[test]
    fn of_several_tags_the_first_that_lasts_counts() {
        for (tags, reference) in [
            ("shop:1.2 shop:latest", "shop:1.2"),
            ("shop:latest shop:1.2 shop:1", "shop:1.2"),
            ("shop:latest", "shop:latest"),
        ] {
            let words = format!("Imported Docker image: shop:latest with tags {tags}");
            let text = format!(
                "1,t,artifact,0,builder-id,{TAG}\n1,t,artifact,0,id,shop:latest\n\
                 1,t,artifact,0,string,{words}\n1,t,artifact,0,end\n"
            );
            let transcript = Transcript::read(text.as_bytes()).unwrap();
            let found = images(&transcript, &request(json!({})), "global");
            assert_eq!(found[0].reference, reference, "{tags}");
        }
    }

    #[test]
    fn an_image_without_a_tag_has_the_name_that_the_document_gives() {
        let steps = [(IMPORT, "sha256:b9")];
        assert_eq!(one(&steps, json!({"package": "shop"}), "global").name, "shop");
        let named = json!({"package": "shop", "amiName": "web", "amiSuffix": "2"});
        assert_eq!(one(&steps, named, "global").name, "web-2");
    }

    #[test]
    fn a_region_gets_its_own_id() {
        let steps = [("mitchellh.amazonebs", "us-east-1:ami-1,us-west-2:ami-2")];
        let image = one(&steps, json!({"package": "shop"}), "us-west-2");
        assert_eq!((image.reference.as_str(), image.cloud.as_str()), ("ami-2", "aws"));
        assert_eq!(one(&steps, json!({}), "elsewhere").reference, "ami-1");
        let image = one(&[("packer.googlecompute", "shop-17")], json!({}), "global");
        assert_eq!((image.reference.as_str(), image.cloud.as_str()), ("shop-17", "gce"));
        let id = "/subscriptions/1/images/a:b";
        assert_eq!(one(&[("azure.arm", id)], json!({}), "global").reference, id);
    }

    #[test]
    fn later_stages_find_what_spinnaker_would_give_them() {
        let steps = [(IMPORT, "sha256:b9"), (TAG, "shop:7")];
        let request = request(json!({"package": "shop"}));
        let image = &images(&transcript(&steps), &request, "eu")[0];
        assert_eq!(
            image.detail(&request),
            json!({"ami": "shop:7", "amiName": "shop:7", "imageId": "shop:7", "imageName": "shop:7",
                "region": "eu", "cloudProvider": "docker", "cloudProviderType": "docker", "package": "shop"})
        );
        assert_eq!(
            Value::Object(image.artifact().0),
            json!({"type": "docker/image", "name": "shop", "version": "7",
                "reference": "shop:7", "metadata": {"imageId": "sha256:b9"}})
        );
    }

    #[test]
    fn what_was_not_said_whole_does_not_count() {
        let torn = Transcript::read(&b"1,t,artifact,0,id,sho"[..]).unwrap();
        assert!(images(&torn, &request(json!({})), "eu").is_empty());
    }
}
