"""The store's checks again on PostgreSQL, and a whole run with both databases there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.server.workflow_engine import running_engine
from app.settings.database_url import WAITS
from app.settings.schema import Settings
from app.storage.database.connection import open_database
from tests.support.runs.lifecycle import check_journal, ended, start
from tests.support.runs.stored import store
from tests.support.runs.world import RunWorld
from tests.support.settings import settings
from tests.unit.app.expiry import test_kept as expiry_checks
from tests.unit.app.expiry.test_kept import clock
from tests.unit.app.operations import test_pruning as pruning_checks
from tests.unit.app.outcomes import test_rows as outcome_checks
from tests.unit.app.queue import test_worker_registry as lease_checks
from tests.unit.app.spending import test_account as money_checks
from tests.unit.app.storage import test_inbox as inbox_checks
from tests.unit.app.storage import test_organisations as organisation_checks
from tests.unit.app.storage import test_proofs as proof_checks
from tests.unit.app.storage import test_questions as question_checks
from tests.unit.app.storage import test_store as checks

__all__ = ["clock", "settings", "store"]


@pytest.fixture
def url(postgresql_database: str) -> str:
    """Where the shared checks look."""
    return postgresql_database


test_events = checks.test_events_come_back_as_they_were_and_in_order
test_newest_events = (
    checks.test_the_newest_events_of_some_types_are_read_and_no_text_is_taken_for_one
)
test_logs_of_an_issue = checks.test_what_an_issues_other_runs_kept_is_found
test_unknown = checks.test_an_unknown_run_is_refused
test_lease = checks.test_who_lost_the_lease_can_write_nothing
test_gaps = checks.test_a_failed_append_leaves_no_gap
test_logs = checks.test_logs_are_kept_whole_and_replaced
test_hints = checks.test_hints_and_stop
test_once = checks.test_one_run_per_delivery_and_one_live_run_per_issue
test_outbox = checks.test_the_outbox_forgets_what_was_enqueued
test_listing = checks.test_listing_pages_newest_first_and_filters
test_threads = checks.test_many_threads_accept_one_delivery_once
test_events = inbox_checks.test_an_event_is_kept_once_until_it_is_answered
test_event_starts = inbox_checks.test_an_event_starts_one_run_and_joins_a_live_one
test_concerns = inbox_checks.test_what_concerns_our_pull_requests
test_rounds = inbox_checks.test_a_done_run_is_woken_to_another_round
test_one_look = outcome_checks.test_an_ended_pull_request_is_looked_at_once
test_watch = outcome_checks.test_a_merge_is_watched_for_90_days
test_reverts = outcome_checks.test_a_push_that_says_revert_hurries_the_merges_of_its_branch
test_month = money_checks.test_a_months_budget_is_overspent_by_one_turn_of_each_attempt_at_most
test_run_budget = money_checks.test_a_runs_budget_ends_it_before_the_next_turn
test_warned_once = money_checks.test_people_are_told_once_for_each_month_and_budget
test_remarks = inbox_checks.test_remarks_are_taken_up_once_and_requests_wait_for_a_round
test_keyed_hints = inbox_checks.test_a_hint_with_a_key_is_added_once
test_proofs = proof_checks.test_a_newer_proof_replaces_those_of_its_pull_request_alone
test_ended_proofs = proof_checks.test_what_is_over_stays_as_it_is
test_same_change = (
    proof_checks.test_only_the_same_change_in_the_same_repository_that_is_proven_counts
)
test_proofs_of_a_day = proof_checks.test_a_day_is_counted
test_looks = expiry_checks.test_of_many_workers_one_has_a_pull_request_looked_at
test_look_again = expiry_checks.test_it_is_looked_at_within_a_day_and_no_more_once_it_is_closed
test_off = organisation_checks.test_an_organisation_is_off_until_both_take_it_back
test_whose_files = organisation_checks.test_whose_files_are_read_again
test_waiting = question_checks.test_a_waiting_run_is_nobodys_until_it_is_answered
test_defaults = question_checks.test_after_its_time_it_is_in_line_and_takes_the_default
test_first_answers = (
    question_checks.test_of_many_answers_at_once_one_is_the_first_and_may_come_again
)
test_quick_answers = (
    question_checks.test_an_answer_that_comes_while_the_worker_is_still_asking_is_not_missed
)
test_questions_of_runs = question_checks.test_a_question_is_open_while_its_run_lives
test_burials = lease_checks.test_after_an_outage_only_the_work_of_those_that_left_is_taken
test_pruning = pruning_checks.test_what_is_over_for_long_goes_and_what_is_open_stays
test_pruned_checks = pruning_checks.test_what_is_counted_of_a_check_goes_with_the_check
test_batches = pruning_checks.test_many_rows_go_in_small_transactions
test_processes = checks.test_several_processes_append_without_gaps


def test_the_engine_uses_the_same_database(url: str) -> None:
    engine_url = sa.make_url(Settings(database_url=url).engine_database)
    assert engine_url.difference_update_query(WAITS) == sa.make_url(url)


def test_connections_give_up_on_a_server_that_is_silent_and_the_url_has_the_last_word(
    url: str,
) -> None:
    own = url + "&tcp_user_timeout=7000&keepalives_count=9&pool_size=2&max_overflow=1"
    for given, patience, pool in ((url, "30000", 10), (own, "7000", 2)):
        settings = Settings(database_url=given)
        one = open_database(settings.database)
        assert one.pool.size() == pool  # type: ignore[attr-defined]
        for engine in (one, sa.create_engine(settings.engine_database)):
            with engine.connect() as connection:
                used = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
            assert used["connect_timeout"] == "10"
            assert used["tcp_user_timeout"] == patience
            assert used["keepalives_count"] == ("3" if given == url else "9")
            engine.dispose()


@pytest.mark.slow
def test_a_whole_run(url: str, tmp_path: Path) -> None:
    world = RunWorld(tmp_path, database_url=url)
    run_id = start(world)
    with running_engine(world.services()):
        assert ended(world, run_id).outcome == "proven"
    check_journal(world, run_id)
    assert not (tmp_path / "state" / "engine.db").exists()
