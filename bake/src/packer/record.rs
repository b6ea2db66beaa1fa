//! What `packer -machine-readable` prints, a record a line. Pure.
//!
//! A line is `time,target,type,data…` (<https://developer.hashicorp.com/packer/docs/commands>, "Machine-Readable
//! Output"): a comma inside of data is `%!(PACKER_COMMA)`, a line end `\n`. A log may be torn at its
//! end, and a line that is too long comes in pieces: what is no record is text.

/// How Packer writes a comma inside of data.
const COMMA: &str = "%!(PACKER_COMMA)";

/// One line of Packer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The build that it is about, e.g. `docker`; empty if it is about all.
    pub target: String,
    /// What it is: `ui`, `error`, `artifact` …
    pub kind: String,
    /// The rest.
    pub data: Vec<String>,
}

impl Record {
    /// Reads a line; `None` if it is no record.
    pub fn read(line: &str) -> Option<Self> {
        let mut fields = line.trim_end_matches('\r').split(',');
        let time = fields.next()?;
        if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (target, kind) = (unescape(fields.next()?), unescape(fields.next()?));
        if kind.is_empty() || kind.contains(char::is_whitespace) {
            return None;
        }
        Some(Self { target, kind, data: fields.map(unescape).collect() })
    }

    /// The data from `at` on, as one text: not every comma inside of a text was escaped.
    pub fn text(&self, at: usize) -> String {
        self.data.get(at..).unwrap_or_default().join(",")
    }

    /// What the record says to people, line by line; nothing if it is for programs.
    pub fn said(&self) -> Vec<String> {
        if self.kind != "ui" {
            return Vec::new();
        }
        lines(&self.text(1))
    }
}

/// The lines of a text that say something.
pub fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end);
    lines.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// A text as it was before Packer wrote it into a line.
pub fn unescape(text: &str) -> String {
    text.replace(COMMA, ",").replace("\\n", "\n").replace("\\r", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(target: &str, kind: &str, data: &[&str]) -> Option<Record> {
        let data = data.iter().map(|text| (*text).to_owned()).collect();
        Some(Record { target: target.into(), kind: kind.into(), data })
    }

    #[test]
    fn lines_are_read_as_packer_writes_them() {
        for (line, expected) in [
            ("1,,ui,say,==> docker: Hi", record("", "ui", &["say", "==> docker: Hi"])),
            ("1,d.shop,artifact,0,id,shop:1", record("d.shop", "artifact", &["0", "id", "shop:1"])),
            ("1,docker,error,a%!(PACKER_COMMA) b\\nc", record("docker", "error", &["a, b\nc"])),
            ("1,,error-count,1\r", record("", "error-count", &["1"])),
            ("1,docker,artifact,0,end", record("docker", "artifact", &["0", "end"])),
            ("1,,ui", record("", "ui", &[])),
        ] {
            assert_eq!(Record::read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_record_is_left_alone() {
        for line in [
            "",
            "1",
            "1,docker",
            ",,ui,say,x",
            "panic: runtime error",
            "x,y,z,w",
            "17 bottles, of beer, on the wall",
            "1,,no kind,x",
            "12,",
        ] {
            assert_eq!(Record::read(line), None, "{line}");
        }
    }

    #[test]
    fn people_read_whole_lines() {
        let read = |line| Record::read(line).unwrap().said();
        assert_eq!(
            read("1,,ui,say,\\n==> done%!(PACKER_COMMA) all\\n  of it\\n\\n"),
            ["==> done, all", "  of it"]
        );
        assert_eq!(read("1,,ui,message,    docker: a,b"), ["    docker: a,b"]);
        assert_eq!(read("1,,ui,say,"), Vec::<String>::new());
        assert_eq!(read("1,docker,artifact,0,id,x"), Vec::<String>::new());
    }
}
