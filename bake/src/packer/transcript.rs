//! Everything that Packer printed → what it made, and why it failed. Pure.

use std::io::{self, BufRead, Read};

use super::record::{Record, lines};

/// Lines of errors that are kept.
const ERRORS_MAX: usize = 20;
/// Characters of one of them.
const ERROR_CHARS_MAX: usize = 1_000;
/// Builds of one template, and artifacts of one build, that are kept.
const KEPT_MAX: usize = 200;
/// Longest line that is looked at, in bytes; of a longer one only its beginning is.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What a run of Packer came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// The builds that made something, in order.
    pub builds: Vec<Build>,
    of_builds: Vec<String>,
    of_all: Vec<String>,
}

/// One build of a template, and what each of its steps made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// Its name, e.g. `docker` or `docker.shop`.
    pub target: String,
    /// What came out of it: first of the builder, then of each post-processor.
    pub artifacts: Vec<Made>,
}

/// Something that a step of a build made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// What kind of step made it, e.g. `mitchellh.amazonebs`, `packer.post-processor.docker-tag`.
    pub builder: String,
    /// Its id in the words of that kind.
    pub id: String,
    /// What the step says to people of what it made.
    pub words: String,
    /// Whether Packer said all of it: not if its output ends in between.
    pub is_whole: bool,
}

impl Transcript {
    /// Reads all of an output.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(mut output: impl BufRead) -> io::Result<Self> {
        let mut transcript = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(transcript);
            }
            if !line.ends_with(b"\n") {
                skip_line(&mut output)?;
            }
            if let Some(record) = Record::read(String::from_utf8_lossy(&line).trim_end()) {
                transcript.take(&record);
            }
        }
    }

    /// Why it failed, as Packer has it: the words of the builds if there are any, else all that it
    /// said as an error.
    pub fn errors(&self) -> &[String] {
        if self.of_builds.is_empty() { &self.of_all } else { &self.of_builds }
    }

    fn take(&mut self, record: &Record) {
        match record.kind.as_str() {
            "artifact" => self.artifact(record),
            "error" => {
                let name = if record.target.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", record.target)
                };
                keep(&mut self.of_builds, &name, &record.text(0));
            }
            "ui" if record.data.first().is_some_and(|kind| kind == "error") => {
                keep(&mut self.of_all, "", &record.text(1));
            }
            _ => {}
        }
    }

    fn artifact(&mut self, record: &Record) {
        let Record { target, data, .. } = record;
        let Some(index) = data.first().and_then(|index| index.parse::<usize>().ok()) else {
            return;
        };
        let at = self.builds.iter().position(|build| build.target == *target);
        let at = at.unwrap_or_else(|| {
            self.builds.push(Build { target: target.clone(), artifacts: Vec::new() });
            self.builds.len() - 1
        });
        if at >= KEPT_MAX || index >= KEPT_MAX {
            self.builds.truncate(KEPT_MAX);
            return;
        }
        let artifacts = &mut self.builds[at].artifacts;
        if artifacts.len() <= index {
            artifacts.resize(index + 1, Made::default());
        }
        match data.get(1).map(String::as_str) {
            Some("builder-id") => artifacts[index].builder = record.text(2),
            Some("id") => artifacts[index].id = record.text(2),
            Some("string") => artifacts[index].words = record.text(2),
            Some("end") => artifacts[index].is_whole = true,
            Some(_) | None => {}
        }
    }
}

/// Reads to the end of a line without keeping it.
fn skip_line(output: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = output.fill_buf()?;
        let (length, end) = (buffer.len(), buffer.iter().position(|byte| *byte == b'\n'));
        output.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

fn keep(errors: &mut Vec<String>, name: &str, text: &str) {
    for line in lines(text) {
        if errors.len() < ERRORS_MAX {
            let line: String = line.trim().chars().take(ERROR_CHARS_MAX).collect();
            errors.push(format!("{name}{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Transcript {
        Transcript::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_each_step_made_is_kept_in_order() {
        let transcript = read(
            "1,,ui,say,Build 'docker' finished\n\
             1,docker,artifact-count,2\n\
             1,docker,artifact,0,builder-id,packer.post-processor.docker-import\n\
             1,docker,artifact,0,id,sha256:b9\n\
             1,docker,artifact,0,end\n\
             1,amazon-ebs,artifact,0,id,us-east-1:ami-1%!(PACKER_COMMA)us-west-2:ami-2\n\
             1,docker,artifact,1,builder-id,packer.post-processor.docker-tag\n\
             1,docker,artifact,1,id,shop:7\n",
        );
        let [docker, amazon] = &transcript.builds[..] else { panic!("{transcript:?}") };
        assert_eq!(docker.target, "docker");
        let ids: Vec<&str> = docker.artifacts.iter().map(|made| made.id.as_str()).collect();
        assert_eq!(ids, ["sha256:b9", "shop:7"]);
        assert_eq!(docker.artifacts[1].builder, "packer.post-processor.docker-tag");
        assert!(docker.artifacts[0].is_whole && !docker.artifacts[1].is_whole);
        assert_eq!(amazon.artifacts[0].id, "us-east-1:ami-1,us-west-2:ami-2");
        assert!(transcript.errors().is_empty());
    }

    #[test]
    fn the_words_of_a_build_go_over_those_of_all() {
        let general =
            "1,,ui,error,Error: Unset variable \"a\"\\n\\nA used variable must be set.\\n\n";
        assert_eq!(
            read(general).errors(),
            ["Error: Unset variable \"a\"", "A used variable must be set."]
        );
        let both = format!("{general}1,docker,error,Script exited with 7\\n\n");
        assert_eq!(read(&both).errors(), ["docker: Script exited with 7"]);
    }

    #[test]
    fn torn_long_and_strange_lines_do_no_harm() {
        let long = "x".repeat(3 * usize::try_from(LINE_BYTES_MAX).unwrap());
        let text = format!(
            "1,,ui,message,{long}\n\
             {long}\n\
             1,docker,artifact,99999999999,id,huge\n\
             1,docker,artifact,-1,id,negative\n\
             1,docker,artifact\n\
             1,docker,artifact,0,id,shop:1\n\
             \u{0}\u{1}\n\
             1,docker,artifact,1,id,sh"
        );
        let transcript = read(&text);
        let ids: Vec<&str> =
            transcript.builds[0].artifacts.iter().map(|made| made.id.as_str()).collect();
        assert_eq!(ids, ["shop:1", "sh"]);
    }

    #[test]
    fn errors_are_bounded() {
        let text = format!("1,d,error,{}\n", "é".repeat(5_000)).repeat(50);
        let transcript = read(&text);
        assert_eq!(transcript.errors().len(), ERRORS_MAX);
        assert!(transcript.errors()[0].chars().count() <= ERROR_CHARS_MAX + 3);
    }
}
