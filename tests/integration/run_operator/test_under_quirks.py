"""Tests of the run operator, once more in workspaces that differ in many ways at once.

They need no more than what every workspace has. A test whose subject a quirk takes away is not among them.
"""

from __future__ import annotations

import pytest
from integration.run_operator.test_deferred import (
    test_a_deferred_task_ends_with_its_run,  # noqa: F401
    test_a_run_that_ended_while_nothing_waited_is_taken_over_without_another_wait,  # noqa: F401
)
from integration.run_operator.test_ends import (
    test_a_failed_run_fails_the_task_with_its_step_error_and_log,  # noqa: F401
    test_a_run_cancelled_in_the_workspace_is_not_retried,  # noqa: F401
    test_after_a_cancel_by_the_deadline_a_retry_submits_another_run,  # noqa: F401
)
from integration.run_operator.test_kill import test_a_kill_while_waiting_cancels_the_run  # noqa: F401
from integration.run_operator.test_run_operator import (
    kept_variables,  # noqa: F401
    test_a_clear_cancels_the_old_run_and_starts_a_new_one,  # noqa: F401
    test_a_retry_takes_over_a_run_whose_pipeline_was_disabled_since,  # noqa: F401
    test_a_run_is_submitted_waited_for_and_returned,  # noqa: F401
    test_a_submission_whose_reply_is_lost_is_found_again,  # noqa: F401
)
from support.samples.quirks import COMBINATIONS
from support.services.local_workspace import Workspace


@pytest.fixture(scope="module", params=COMBINATIONS.values(), ids=COMBINATIONS)
def running_workspace(request):
    with Workspace(quirks=request.param) as running:
        yield running
