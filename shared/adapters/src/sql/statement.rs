//! A statement: its text and its values, the same for both dialects as far as that goes.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::Arc;

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, query};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// What keeps others from changing what a `SELECT` found until the transaction ends. SQLite has
    /// one writer and needs no such word.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }
}

/// One value of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Number(Option<i64>),
    Text(Option<Cow<'a, str>>),
    /// Text of any length, handed on without a copy.
    Shared(Option<&'a Arc<str>>),
    Bytes(&'a [u8]),
    /// Only PostgreSQL has lists.
    List(List<'a>),
}

/// The values of one column of several rows.
#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<Cow<'a, str>>>),
    Bytes(Vec<&'a [u8]>),
}

/// A statement that is being put together.
#[derive(Debug, Default)]
pub(super) struct Sql<'a> {
    text: String,
    values: Vec<Value<'a>>,
}

impl<'a> Sql<'a> {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing to a text cannot fail.
        let _ = write!(self.text, "{text}");
        self
    }

    /// Names a value by its number, which both dialects understand.
    pub(super) fn bind(&mut self, value: impl Into<Value<'a>>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.push(format_args!("${number}"))
    }

    /// Binds several, with commas between them.
    pub(super) fn bind_all<V: Into<Value<'a>>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self
    }

    pub(super) fn sqlite(self) -> Query<'a, Sqlite, SqliteArguments> {
        let Self { text, values } = self;
        values.into_iter().fold(query(AssertSqlSafe(text)), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Shared(text) => query.bind(text.cloned()),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::List(_) => query.bind(None::<i64>),
        })
    }

    pub(super) fn postgres(self) -> Query<'a, Postgres, PgArguments> {
        let Self { text, values } = self;
        values.into_iter().fold(query(AssertSqlSafe(text)), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Shared(text) => query.bind(text.map(|text| &**text)),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::List(List::Numbers(numbers)) => query.bind(numbers),
            Value::List(List::Texts(texts)) => query.bind(texts),
            Value::List(List::Bytes(bytes)) => query.bind(bytes),
        })
    }
}

impl<'a> List<'a> {
    /// Turns rows into the lists of their columns.
    pub(super) fn of_columns(rows: &[Vec<Value<'a>>]) -> Vec<Self> {
        let width = rows.first().map_or(0, Vec::len);
        (0..width).map(|column| Self::of_column(rows.iter().map(|row| &row[column]))).collect()
    }

    /// The type of the list in SQL.
    pub(super) fn sql_type(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "bigint[]",
            Self::Texts(_) => "text[]",
            Self::Bytes(_) => "bytea[]",
        }
    }

    fn of_column<'v>(values: impl Iterator<Item = &'v Value<'a>> + Clone) -> Self
    where
        'a: 'v,
    {
        match values.clone().next() {
            Some(Value::Text(_) | Value::Shared(_)) => Self::Texts(values.map(text).collect()),
            Some(Value::Bytes(_)) => Self::Bytes(values.filter_map(bytes).collect()),
            Some(Value::Number(_) | Value::List(_)) | None => {
                Self::Numbers(values.map(number).collect())
            }
        }
    }
}

/// PostgreSQL has no text with a zero in it. Keys with one are refused; in words for people (all of
/// them shared; in JSON the zero is escaped) it is shown as what it is: unreadable.
fn text<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    match value {
        Value::Text(text) => text.clone(),
        Value::Shared(Some(text)) if text.contains('\0') => {
            Some(Cow::Owned(text.replace('\0', "\u{fffd}")))
        }
        Value::Shared(text) => text.map(|text| Cow::Borrowed(&**text)),
        Value::Number(_) | Value::Bytes(_) | Value::List(_) => None,
    }
}

fn number(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Number(number) => *number,
        Value::Text(_) | Value::Shared(_) | Value::Bytes(_) | Value::List(_) => None,
    }
}

fn bytes<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Number(_) | Value::Text(_) | Value::Shared(_) | Value::List(_) => None,
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl<'a> From<&'a Arc<str>> for Value<'a> {
    fn from(text: &'a Arc<str>) -> Self {
        Self::Shared(Some(text))
    }
}

impl<'a> From<Option<&'a Arc<str>>> for Value<'a> {
    fn from(text: Option<&'a Arc<str>>) -> Self {
        Self::Shared(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<List<'a>> for Value<'a> {
    fn from(list: List<'a>) -> Self {
        Self::List(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_the_lists_of_their_columns() {
        let message: Arc<str> = "a\0b".into();
        let row = |id, state: &'static [u8]| {
            vec![Value::from(id), 7_i64.into(), state.into(), Value::from(&message)]
        };
        let rows = [row("e", b"\0"), row("f", b"")];
        let lists = List::of_columns(&rows);
        let types: Vec<_> = lists.iter().map(List::sql_type).collect();
        assert_eq!(types, ["text[]", "bigint[]", "bytea[]", "text[]"]);
        assert!(matches!(&lists[2], List::Bytes(bytes) if bytes[..] == [&b"\0"[..], b""]));
        assert!(
            matches!(&lists[3], List::Texts(texts) if texts[0].as_deref() == Some("a\u{fffd}b"))
        );
    }

    #[test]
    fn values_are_named_by_their_number() {
        let mut sql = Sql::new("SELECT ");
        sql.bind_all([1_i64, 2]).push(" WHERE a = ").bind("x");
        assert_eq!(sql.text, "SELECT $1, $2 WHERE a = $3");
    }
}
