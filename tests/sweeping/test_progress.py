"""Progress of a sweep: what is shown, and what is told for others to follow it by."""

import pytest

import somaflow as sf
from somaflow.sweeping import progress
from somaflow.sweeping.progress import SweepProgress, told

HALF = SweepProgress(96, 2, 8, 256, 50, 60.0)


def test_a_sentence_says_all_of_it():
    # 48 ended in a minute; 158 are left.
    assert HALF.seconds_left == pytest.approx(197.5)
    assert HALF.sentence() == "98 of 256 members, 8 running, 2 failed, 3 min 18 s left"


def test_two_lines_say_the_same():
    assert HALF.two_lines() == ("98 of 256 members, 3 min 18 s left", "8 running, 2 failed")


def test_before_a_member_has_ended_no_time_is_known():
    assert SweepProgress(50, 0, 4, 256, 50, 9.0).sentence() == "50 of 256 members, 4 running"


def test_at_the_end_nothing_is_left():
    ended = SweepProgress(1255, 1, 0, 1256, 0, 60.0)
    assert ended.sentence() == "1,256 of 1,256 members, 1 failed"


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_function_and_the_note_are_told_alike(clock):
    seen, notes = [], []
    with told(seen.append, 10, 4, notes.append, True) as tell:
        clock.now += 1.5
        tell(1, 0, 2)
        clock.now += 0.5
        tell(2, 1, 3)
    assert seen == [SweepProgress(5, 0, 2, 10, 4, 1.5), SweepProgress(6, 1, 3, 10, 4, 2.0)]
    assert [note["state"] for note in notes] == ["running", "running", "finished"]
    assert [note["progress"]["finished"] for note in notes] == [4, 5, 6]
    assert {note["again"] for note in notes} == {True}
    assert [note["updated"] for note in notes] == [100, 101.5, 102]


@pytest.mark.parametrize(
    ("error", "state"),
    [(KeyboardInterrupt("stopped"), "interrupted"), (sf.errors.StoreError("full"), "failed")],
)
def test_how_it_ended_is_told(error, state):
    notes = []
    with pytest.raises(type(error)), told(False, 3, 0, notes.append) as tell:
        tell(1, 0, 0)
        raise error
    assert (notes[-1]["state"], notes[-1]["sentence"]) == (state, str(error))
    assert notes[-1]["progress"]["finished"] == 1


def test_false_is_silent_and_nonsense_refused(capsys):
    with told(False, 3, 0) as tell:
        tell(3, 0, 0)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(sf.errors.WrongTypeError), told(3, 3, 0):
        pass
