use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_adapters::memory::MemoryJournal;
use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::conformance::{Durable, Subject, journal};
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, Version,
};

use crate::assert_caught;

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// Appends whatever version was expected.
    Expected,
    /// Gives up the whole batch on a conflict.
    Batch,
    /// Stores each of a batch by itself.
    Atomicity,
    /// Writes bodies that were not handed in.
    Bodies,
    /// Reads what was there before the last append.
    Stale,
    /// Keeps the case of application names.
    Case,
    /// Ignores where a search continues.
    Pages,
    /// Lists what is complete.
    Unfinished,
    /// Leaves conflicts in the history.
    History,
    /// Stores what was to be stored with another only.
    With,
    /// Removes whatever version was expected.
    Removal,
    /// Does not note what it removed.
    Notes,
    /// Keeps none.
    Newest,
}

struct Broken {
    journal: MemoryJournal,
    breaks: Breaks,
    held_back: tokio::sync::Mutex<Vec<Append>>,
}

#[tokio::test]
async fn a_journal_that_ignores_what_was_expected() {
    let expected = ["a_conflict_changes_nothing", "of_several_at_once_one_is_stored"];
    fails(Breaks::Expected, &expected).await;
}

#[tokio::test]
async fn a_journal_whose_batches_share_their_conflicts() {
    fails(Breaks::Batch, &["a_conflict_touches_no_other_of_the_batch"]).await;
}

#[tokio::test]
async fn a_journal_whose_batches_are_refused_half_way() {
    fails(Breaks::Atomicity, &["what_could_not_be_loaded_is_refused_with_its_batch"]).await;
}

#[tokio::test]
async fn a_journal_that_forgets_bodies() {
    fails(Breaks::Bodies, &["only_the_stages_that_changed_are_written"]).await;
}

#[tokio::test]
async fn a_journal_that_acknowledges_before_it_stores() {
    let expected = ["versions_count_up_from_one", "many_at_once_are_all_stored_and_read"];
    fails(Breaks::Stale, &expected).await;
}

#[tokio::test]
async fn a_journal_that_searches_by_case() {
    fails(Breaks::Case, &["a_search_finds_what_its_query_says"]).await;
}

#[tokio::test]
async fn a_journal_whose_pages_begin_anew() {
    fails(Breaks::Pages, &["a_search_finds_what_its_query_says"]).await;
}

#[tokio::test]
async fn a_journal_whose_complete_executions_are_unfinished() {
    fails(Breaks::Unfinished, &["unfinished_goes_by_status"]).await;
}

#[tokio::test]
async fn a_journal_whose_conflicts_leave_traces() {
    fails(Breaks::History, &["a_conflict_changes_nothing"]).await;
}

#[tokio::test]
async fn a_journal_that_forgets_everything_when_it_is_closed() {
    let new = async || {
        let empty = Subject::<dyn Journal>::new(Arc::new(MemoryJournal::default()));
        let port: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
        Durable { port, reopen: Box::pin(async { empty }) }
    };
    let failures = journal::durable_journal().failures(new).await;
    assert_caught(&failures, &["what_was_acknowledged_is_there_after_reopening"]);
}

#[tokio::test]
async fn a_journal_that_stores_children_without_parents() {
    fails(Breaks::With, &["what_is_stored_with_another_shares_its_conflict"]).await;
}

#[tokio::test]
async fn a_journal_that_removes_what_goes_on() {
    fails(Breaks::Removal, &["only_what_has_ended_and_stands_so_is_removed"]).await;
}

#[tokio::test]
async fn a_journal_that_does_not_note_what_it_removed() {
    fails(Breaks::Notes, &["what_was_removed_is_noted_until_that_is_taken_back"]).await;
}

#[tokio::test]
async fn a_journal_that_keeps_none() {
    fails(Breaks::Newest, &["the_newest_of_a_line_stay"]).await;
}

async fn fails(breaks: Breaks, expected: &[&str]) {
    let new = async || {
        let (journal, held_back) = (MemoryJournal::default(), Default::default());
        Subject::<dyn Journal>::new(Arc::new(Broken { journal, breaks, held_back }))
    };
    assert_caught(&journal::journal().failures(new).await, expected);
}

impl Broken {
    async fn version(&self, execution: &ExecutionId) -> u64 {
        self.journal.load(execution).await.unwrap().map_or(0, |stored| stored.version)
    }

    async fn append_one(&self, mut append: Append) -> Result<Appended, PortError> {
        if self.breaks == Breaks::Expected {
            append.expected = self.version(&append.execution).await;
        }
        let trace = Append { stages: Vec::new(), document: None, ..append.clone() };
        let answer = self.journal.append(vec![append]).await?.remove(0);
        if let (Breaks::History, Appended::Conflict { found: found @ 1.. }) = (self.breaks, &answer)
        {
            self.journal.append(vec![Append { expected: *found, ..trace }]).await?;
        }
        Ok(answer)
    }
}

#[async_trait]
impl Journal for Broken {
    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        match self.breaks {
            Breaks::Bodies => {
                for stage in batch.iter_mut().flat_map(|append| &mut append.stages) {
                    stage.body.get_or_insert_default();
                }
            }
            Breaks::Batch => {
                for append in &batch {
                    let found = self.version(&append.execution).await;
                    if append.expected != found {
                        return Ok(vec![Appended::Conflict { found }; batch.len()]);
                    }
                }
            }
            Breaks::Stale => {
                let mut held_back = self.held_back.lock().await;
                self.journal.append(std::mem::take(&mut *held_back)).await?;
                held_back.clone_from(&batch);
                return Ok(batch.iter().map(|one| Appended::Stored(one.expected + 1)).collect());
            }
            Breaks::Expected | Breaks::Atomicity | Breaks::History => {
                let mut answers = Vec::new();
                for append in batch {
                    answers.push(self.append_one(append).await?);
                }
                return Ok(answers);
            }
            Breaks::With => batch.iter_mut().for_each(|append| append.with = None),
            Breaks::Case
            | Breaks::Pages
            | Breaks::Unfinished
            | Breaks::Removal
            | Breaks::Notes
            | Breaks::Newest => {}
        }
        self.journal.append(batch).await
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        self.journal.load(execution).await
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        self.journal.bodies(execution, indexes).await
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        if self.breaks == Breaks::Unfinished {
            let all = Query { limit: u32::MAX, ..Query::default() };
            let mut ids: Vec<_> =
                self.journal.search(&all).await?.into_iter().map(|(id, _)| id).collect();
            ids.sort();
            ids.retain(|id| after.is_none_or(|after| id > after));
            ids.truncate(limit as usize);
            // With versions that nobody compares.
            return Ok(ids.into_iter().map(|id| (id, 1)).collect());
        }
        self.journal.unfinished(after, limit).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        let mut query = query.clone();
        if self.breaks == Breaks::Pages {
            query.after = None;
        }
        let mut found = self.journal.search(&query).await?;
        if let (Breaks::Case, Some(application)) = (self.breaks, &query.application) {
            found.retain(|(_, head)| head.application == *application);
        }
        Ok(found)
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        self.journal.history(execution, after, limit).await
    }

    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        if self.breaks == Breaks::Removal {
            let mut gone = Vec::new();
            for (id, _) in executions {
                let version = self.version(id).await;
                gone.extend(self.journal.remove(&[(id.clone(), version)], at).await?);
            }
            return Ok(gone);
        }
        let gone = self.journal.remove(executions, at).await?;
        if self.breaks == Breaks::Notes {
            let all: Vec<_> = executions.iter().map(|(id, _)| id.clone()).collect();
            self.journal.cleared(&all).await?;
        }
        Ok(gone)
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        self.journal.removed(until, limit).await
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        self.journal.cleared(executions).await
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        self.journal.next_line(kind, after).await
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        if self.breaks == Breaks::Newest {
            return self.journal.outlived(line, &Outlived { kept: 0, ..*outlived }).await;
        }
        self.journal.outlived(line, outlived).await
    }

    async fn size(&self) -> Result<Size, PortError> {
        self.journal.size().await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.journal.ready().await
    }
}
