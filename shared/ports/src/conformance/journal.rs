//! The suite of [`Journal`].

mod append;
mod durable;
mod list;
mod parts;
mod remove;

use super::samples::id;
use super::suite::suite;
use super::{Durable, Subject, Suite};
use crate::PortError;
use crate::journal::{Append, Appended, HistoryEntry, Journal, StageBody, Stored, Version};

/// Every [`Journal`] passes this.
pub fn journal() -> Suite<Subject<dyn Journal>> {
    suite!("journal":
        append::the_first_append_creates,
        append::everything_reads_back_as_it_was_stored,
        append::versions_count_up_from_one,
        append::a_conflict_changes_nothing,
        append::creating_twice_is_a_conflict,
        append::a_conflict_touches_no_other_of_the_batch,
        append::what_is_stored_with_another_shares_its_conflict,
        append::there_is_room_for_so_many,
        append::there_is_room_for_so_many_of_an_application_and_of_all,
        append::of_several_at_once_so_many_get_room,
        append::appends_to_one_execution_follow_each_other_in_a_batch,
        append::of_several_at_once_one_is_stored,
        append::many_at_once_are_all_stored_and_read,
        append::what_could_not_be_loaded_is_refused_with_its_batch,
        append::an_empty_batch_is_answered,
        parts::only_the_stages_that_changed_are_written,
        parts::a_document_stays_until_it_is_replaced,
        parts::bodies_come_in_the_order_asked_for,
        parts::a_body_that_was_never_stored_is_empty,
        parts::many_stages_are_kept_in_order,
        parts::what_is_not_there_is_refused,
        parts::history_is_numbered_and_read_in_pages,
        parts::a_load_is_of_one_version,
        list::unfinished_executions_are_listed_by_id,
        list::unfinished_goes_by_status,
        list::a_search_finds_what_its_query_says,
        list::a_search_is_read_in_pages,
        list::some_of_each_pipeline_are_asked_for_by_application,
        list::a_search_goes_by_what_was_stored_last,
        remove::nothing_is_left_of_what_was_removed,
        remove::blobs_are_in_use_as_long_as_an_execution_refers_to_them,
        remove::only_what_has_ended_and_stands_so_is_removed,
        remove::what_was_removed_may_be_made_again,
        remove::what_was_removed_is_noted_until_that_is_taken_back,
        remove::of_several_who_remove_one_does,
        remove::every_line_is_found_in_turn,
        remove::the_newest_of_a_line_stay,
    )
}

/// Every [`Journal`] that keeps what it holds passes this too.
pub fn durable_journal() -> Suite<Durable<dyn Journal>> {
    suite!("durable journal": durable::what_was_acknowledged_is_there_after_reopening)
}

async fn append(journal: &dyn Journal, batch: Vec<Append>) -> Vec<Appended> {
    journal.append(batch).await.expect("appending")
}

async fn store(journal: &dyn Journal, one: Append) -> Version {
    match append(journal, vec![one]).await.as_slice() {
        [Appended::Stored(version)] => *version,
        other => panic!("it was not stored: {other:?}"),
    }
}

async fn load(journal: &dyn Journal, execution: &str) -> Stored {
    let stored = journal.load(&id(execution)).await.expect("loading");
    stored.unwrap_or_else(|| panic!("execution {execution} is not there"))
}

async fn bodies(journal: &dyn Journal, execution: &str, indexes: &[u32]) -> Vec<StageBody> {
    journal.bodies(&id(execution), indexes).await.expect("reading bodies")
}

async fn history(journal: &dyn Journal, execution: &str) -> Vec<(u64, HistoryEntry)> {
    journal.history(&id(execution), 0, u32::MAX).await.expect("reading history")
}

async fn unfinished(journal: &dyn Journal, after: Option<&str>, limit: u32) -> Vec<String> {
    let after = after.map(id);
    let listed = journal.unfinished(after.as_ref(), limit).await.expect("listing");
    listed.iter().map(|(id, _)| id.to_string()).collect()
}

fn is_refused<T>(answer: &Result<T, PortError>) -> bool {
    matches!(answer, Err(PortError::Refused { .. }))
}
