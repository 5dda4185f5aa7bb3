"""Times on the command line."""

import pytest

from somaflow.cli.durations import milliseconds
from somaflow.errors import RunError, UnitError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", 1000.0),
        ("1 s", 1000.0),
        ("0.01ms", 0.01),
        ("10us", 0.01),
        ("10µs", 0.01),
        ("200ms", 200.0),
        (" 2.5e-2 ms ", 0.025),
        (".5s", 500.0),
        ("10min", 600_000.0),
        ("1.5h", 5_400_000.0),
    ],
)
def test_times(text, expected):
    assert milliseconds(text, "--dt") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "--dt is '1', which has no unit; write 1ms or 1s"),
        ("1 mV", "'mV' is not a unit of time"),
        ("1day", "'day' is not a unit of time"),
        ("", "write a time with its unit"),
        ("fast", "write a time with its unit"),
        ("nan ms", "write a time with its unit"),
        ("inf", "write a time with its unit"),
        ("1ms2", "write a time with its unit"),
    ],
)
def test_what_is_no_time(text, message):
    with pytest.raises(UnitError, match=message):
        milliseconds(text, "--dt")


@pytest.mark.parametrize("text", ["0ms", "-1ms", "-0.0s"])
def test_times_are_positive(text):
    with pytest.raises(RunError, match="must be greater than 0"):
        milliseconds(text, "--dt")
