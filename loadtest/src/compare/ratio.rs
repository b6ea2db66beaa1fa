//! Two sides' figures, round by round, and what one is of the other.

use serde_json::{Value, json};

use super::trial::Trial;

/// One trial: the figures of both sides in each round.
pub(super) struct Rounds {
    pub(super) trial: Trial,
    pub(super) ours: Vec<Value>,
    pub(super) theirs: Vec<Value>,
}

/// Smallest, middle and largest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    least: f64,
    middle: f64,
    most: f64,
}

impl Range {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Self { least, middle, most })
    }

    fn to_json(self) -> Value {
        json!({ "least": self.least, "middle": self.middle, "most": self.most })
    }
}

/// One line of the table, and of `ratios`.
struct Row {
    name: &'static str,
    /// What is not known in every round, for nothing was begun in one, is not known at all.
    ours: Option<Range>,
    theirs: Option<Range>,
    /// Ours by theirs, round by round.
    ratio: Option<Range>,
}

impl Rounds {
    /// Everything, for programs.
    pub(super) fn to_json(&self) -> Value {
        let ratio = |row: Row| {
            let [ours, theirs, ratio] =
                [row.ours, row.theirs, row.ratio].map(|range| range.map(Range::to_json));
            let told = json!({ "ours": ours, "theirs": theirs, "ours by theirs": ratio });
            (row.name.to_owned(), told)
        };
        let ratios: serde_json::Map<_, _> = self.rows().into_iter().map(ratio).collect();
        json!({ "ratios": ratios, "ours": self.ours, "theirs": self.theirs })
    }

    /// A line of the table for each figure of which a ratio is told.
    pub(super) fn lines(&self, peer: &str) -> Vec<[String; 6]> {
        let middle = |range: Option<Range>| range.map(|range| short(range.middle));
        let whole = |range: Range| {
            let [least, middle, most] = [range.least, range.middle, range.most].map(short);
            format!("{middle} ({least}–{most})")
        };
        let line = |row: Row| {
            let cells = [middle(row.ours), middle(row.theirs), row.ratio.map(whole)];
            let [ours, theirs, ratio] = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
            let (trial, name) = (self.trial.name().to_owned(), row.name.to_owned());
            [peer.to_owned(), trial, name, ours, theirs, ratio]
        };
        self.rows().into_iter().map(line).collect()
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(name, place): &(&'static str, &str)| {
            let of = |rounds: &[Value]| -> Vec<f64> {
                let known = rounds.iter().map(|figures| figures.pointer(place)?.as_f64());
                known.collect::<Option<_>>().unwrap_or_default()
            };
            let (ours, theirs) = (of(&self.ours), of(&self.theirs));
            let ratio = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
            let [ours, theirs, ratio] = [ours, theirs, ratio].map(Range::of);
            Row { name, ours, theirs, ratio }
        };
        self.trial.figures().iter().map(row).collect()
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Columns below each other, the first line their names.
pub(super) fn table(lines: &[[String; 6]]) -> String {
    let names = ["beside", "workload", "figure", "ours", "theirs", "ours by theirs (least–most)"];
    let lines: Vec<_> = std::iter::once(names.map(str::to_owned)).chain(lines.to_vec()).collect();
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let shown = |line: &[String; 6]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds() -> Rounds {
        let figures = |rate: f64, cpu: f64| json!({ "stages per second": rate, "CPU per stage, us": { "without the load": cpu } });
        Rounds {
            trial: Trial::Chain10,
            ours: vec![figures(1000.0, 150.0), figures(1200.0, 100.0)],
            theirs: vec![figures(100.0, 300.0), figures(100.0, 400.0)],
        }
    }

    #[test]
    fn a_ratio_is_one_of_a_round() {
        let figures = rounds().to_json();
        let ratio = &figures["ratios"]["stages/s"]["ours by theirs"];
        assert_eq!(*ratio, json!({ "least": 10.0, "middle": 11.0, "most": 12.0 }));
        assert_eq!(figures["ratios"]["CPU µs/stage"]["ours by theirs"]["most"], 0.5);
    }

    #[test]
    fn what_is_not_known_in_a_round_is_not_known() {
        let mut rounds = rounds();
        rounds.theirs[1] = json!({});
        let line = &rounds.lines("celery")[0];
        assert_eq!(line[3..], ["1100", "–", "–"]);
    }

    #[test]
    fn the_table_is_for_people() {
        let table = table(&rounds().lines("celery"));
        let line = table.lines().nth(2).unwrap();
        assert_eq!(line, "celery  chain10   CPU µs/stage  125   350     0.375 (0.250–0.500)");
    }
}
