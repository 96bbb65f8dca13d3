"""What a log line looks like."""

import json
import logging
import logging.config

import pytest
import structlog

from compute_horde_common.telemetry import metrics
from compute_horde_common.telemetry.logs import bind, stdlib_config


def test_a_line_has_the_event_its_fields_and_those_of_the_conversation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    formatter = _formatter()
    with bind(job="j-1"), caplog.at_level("INFO"):
        structlog.get_logger("miner").info("job accepted", slots_left=3)

    line = json.loads(formatter.format(caplog.records[-1]))

    expected = {"event": "job accepted", "job": "j-1", "slots_left": 3, "level": "info"}
    assert expected.items() <= line.items()


def test_lines_of_libraries_look_alike(caplog: pytest.LogCaptureFixture) -> None:
    formatter = _formatter()
    with caplog.at_level("WARNING"):
        logging.getLogger("library").warning("%s went wrong", "it")

    line = json.loads(formatter.format(caplog.records[-1]))

    assert (line["event"], line["logger"]) == ("it went wrong", "library")


def test_a_move_is_exposed_as_a_total() -> None:
    metrics.JOB_MOVES.labels(service="miner", status="accepted").inc()

    text = metrics.exposition().decode()

    assert 'horde_job_moves_total{service="miner",status="accepted"}' in text


def _formatter() -> logging.Formatter:
    described = stdlib_config("json", "info")["formatters"]["structured"]
    make = described.pop("()")
    formatter: logging.Formatter = make(**described)
    return formatter
