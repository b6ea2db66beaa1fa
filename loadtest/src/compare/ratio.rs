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
    ours: Range,
    theirs: Range,
    /// Ours by theirs, round by round.
    ratio: Range,
}

impl Rounds {
    /// Everything, for programs.
    pub(super) fn to_json(&self) -> Value {
        let ratio = |row: Row| {
            let both = json!({ "ours": row.ours.to_json(), "theirs": row.theirs.to_json() });
            (row.name.to_owned(), json!({ "both": both, "ours by theirs": row.ratio.to_json() }))
        };
        let ratios: serde_json::Map<_, _> = self.rows().into_iter().map(ratio).collect();
        json!({ "ratios": ratios, "ours": self.ours, "theirs": self.theirs })
    }

    /// A line of the table for each figure of which a ratio is told.
    pub(super) fn lines(&self, peer: &str) -> Vec<[String; 6]> {
        let line = |row: Row| {
            let Range { least, most, .. } = row.ratio;
            [
                peer.to_owned(),
                self.trial.name().to_owned(),
                row.name.to_owned(),
                short(row.ours.middle),
                short(row.theirs.middle),
                format!("{} ({}–{})", short(row.ratio.middle), short(least), short(most)),
            ]
        };
        self.rows().into_iter().map(line).collect()
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(name, place): &(&'static str, &str)| {
            let of = |rounds: &[Value]| -> Option<Vec<f64>> {
                rounds.iter().map(|figures| figures.pointer(place)?.as_f64()).collect()
            };
            let (ours, theirs) = (of(&self.ours)?, of(&self.theirs)?);
            let ratio = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
            let (ours, theirs) = (Range::of(ours)?, Range::of(theirs)?);
            Some(Row { name, ours, theirs, ratio: Range::of(ratio)? })
        };
        self.trial.figures().iter().filter_map(row).collect()
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
    fn the_table_is_for_people() {
        let table = table(&rounds().lines("celery"));
        let line = table.lines().nth(2).unwrap();
        assert_eq!(line, "celery  chain10   CPU µs/stage  125   350     0.375 (0.250–0.500)");
    }
}
