"""The network's own tests, run where everything is a container, executors too: neither a job nor
its author must be able to tell the difference."""

import pytest

from tests.e2e.test_jobs import (  # noqa: F401 - pytest finds them here
    test_a_failing_job_shows_exit_status_and_output,
    test_a_job_gets_all_it_asked_for,
    test_a_job_that_is_too_large_to_be_passed_on_is_refused,
    test_a_job_that_takes_too_much_memory_is_told_so,
    test_a_result_of_some_megabytes_comes_back,
    test_an_image_that_does_not_exist_is_named,
    test_an_input_that_is_not_there_fails_the_download,
    test_each_stage_ends_at_its_limit,
)
from tests.e2e.test_live import (  # noqa: F401 - likewise
    test_a_cancelled_job_ends_as_failed_and_leaves_no_container,
    test_a_cancelled_slot_takes_the_next_job,
    test_output_and_progress_are_seen_while_the_job_runs,
)
from tests.e2e.test_streaming import (  # noqa: F401 - likewise
    test_nobody_else_reaches_a_streaming_job,
    test_the_author_of_a_streaming_job_talks_to_it_until_it_ends,
)

pytestmark = pytest.mark.timeout(300)
