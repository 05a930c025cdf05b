"""What protects opt-outs that several records share (rules §3), and locked records (§6), each taken away by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.etl import test_shared_rows as shared
from tests.run import test_locks as locks
from tests.simulation.taken_away import Mutation, WorldSpec


def run_in_folder(test: Callable[[Path], None], rule: str = "no opt-out is lifted") -> None:
    """A case of whole runs, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            test(Path(folder))
        except AssertionError as failure:
            raise AssertionError(rule) from failure


MUTATIONS_OF_MARKS = (
    Mutation(
        "an opt-out ends with the last record that had the value",
        ("etl.writing.shared_values:load_last_seen",),
        lambda _real: lambda *_args: (),
        WorldSpec("shared address rows", rounds=3, persons=6, edition=2),
        case=partial(run_in_folder, shared.test_a_number_that_comes_back_to_its_own_record_is_opted_out_as_it_was),
    ),
    Mutation(
        "locks are ignored",
        ("etl.extract:is_waiting_for_unlock",),
        lambda _real: lambda *_args: False,
        WorldSpec("staff lock a record", persons=6, edition=3),
        case=partial(
            run_in_folder, locks.test_a_number_typed_before_the_lock_waits_for_advoware_too, "a locked person waits"
        ),
    ),
    Mutation(
        "what another record shows of our own rows is not minded",
        ("etl.writing.shared_values:contradicts_own_rows",),
        lambda _real: lambda *_args: False,
        WorldSpec("people edit meanwhile", edition=2),
        case=partial(run_in_folder, shared.test_a_stale_item_of_ours_undoes_nothing_that_a_record_we_read_shows),
    ),
    Mutation(
        "a person of the run that was read for another one is written as it was planned",
        ("etl.writing.shared_values:require_new_read",),
        lambda _real: lambda *_args: None,
        WorldSpec("torn EspoCRM reads", persons=3, edition=3),
        case=partial(
            run_in_folder,
            shared.test_a_record_that_was_read_for_another_person_is_read_again_before_its_own_write,
        ),
    ),
    Mutation(
        "a record that is being saved is believed to hold nothing",
        ("etl.writing.shared_values:may_be_half_written",),
        lambda _real: lambda *_args: False,
        WorldSpec("shared address rows", persons=6, edition=2),
        case=partial(
            run_in_folder, shared.test_a_record_that_is_half_saved_at_its_read_is_asked_again_when_it_has_settled
        ),
    ),
    Mutation(
        "what is tried again is echoed as it was read long ago",
        ("etl.writing.espo_items:require_unchanged_items",),
        lambda _real: lambda *_args: None,
        WorldSpec("4xx", edition=2),
        case=partial(run_in_folder, shared.test_what_is_tried_again_after_a_refusal_echoes_nothing_stale),
    ),
)
"""Each breaks one protection of etl/rules/README.md."""
