"""A child process that dies before it is ready: its output is not lost."""

from __future__ import annotations

import logging

import pytest

from ibdesk.desk.child import ChildProcess
from ibdesk.errors import ChildError

SECONDS = 60.0


def test_one_that_dies_of_an_exception_leaves_its_whole_traceback_in_our_log(caplog: pytest.LogCaptureFixture) -> None:
    child = ChildProcess("stopwatch", "timeit", ["1 / 0"])

    with pytest.raises(ChildError, match=r"stopwatch.*ZeroDivisionError: division by zero"):
        child.until_ready(SECONDS)

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Traceback (most recent call last):" in record.getMessage()
    assert "1 / 0" in record.getMessage()


def test_one_that_ends_with_a_sentence_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    child = ChildProcess("reader", "tokenize", ["missing.py"])

    with pytest.raises(ChildError, match="No such file"):
        child.until_ready(SECONDS)

    assert not caplog.records
