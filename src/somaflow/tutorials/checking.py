"""Checking: whether an answer to an exercise is right, without saying what is.

Each session has a module with a table `CHECKS`: of each exercise a function that takes the answer
and returns None where it is right, else what to look at again. It computes what is right by itself,
so that neither notebook nor message holds it.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Check = Callable[[Any], str | None]

SESSIONS = range(1, 8)


class Unanswered(Exception):  # noqa: N818 - it is no error
    """There is no answer yet: a function that returns nothing, or three dots."""


def check(exercise: str | float, answer: object) -> None:
    """Print whether an answer is right, and if not, what to look at again.

    Args:
        exercise: Its number, such as "1.2": the session, and the exercise in it.
        answer: The answer, as the exercise asks for it; `...` or None where there is none yet.

    Raises:
        ValueError: There is no such exercise.
    """
    exercise = str(exercise)
    known = checks_of(exercise.partition(".")[0])
    if exercise not in known:
        names = ", ".join(known) or "those of sessions 1 to 7"
        raise ValueError(f"there is no exercise {exercise!r}; there are {names}.")
    try:
        said = known[exercise](given(answer))
    except Unanswered:
        print(f"{exercise}: no answer yet.")
        return
    except Exception as fault:  # whatever a student's function does
        said = f"It cannot be checked: {type(fault).__name__}: {fault}"
    print(f"{exercise}: right." if said is None else f"{exercise}: not yet. {said}")


def checks_of(session: str) -> Mapping[str, Check]:
    """Return the checks of a session, by exercise; none where there is no such session."""
    if session not in map(str, SESSIONS):
        return {}
    return importlib.import_module(f"somaflow.tutorials.session_{session}").CHECKS


def given(answer: object) -> Any:
    """Return an answer.

    Raises:
        Unanswered: There is none.
    """
    if answer is None or answer is ...:
        raise Unanswered
    return answer


def number(value: Any, unit: str | None = None) -> float:
    """Return one number: of a quantity, or of an array or a list that holds no more than one.

    Args:
        value: Of the student.
        unit: Of what is returned, if the value has a unit; None where it is to have none.

    Raises:
        ValueError: There are several numbers, or none.
    """
    plain: Any = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    plain = np.asarray(plain.to(unit or "").magnitude if hasattr(plain, "to") else plain, float)
    if plain.size != 1:
        raise ValueError(f"one number is asked for, and these are {plain.size}")
    return float(plain.reshape(()))


def near(value: object, right: object, within: float = 1e-6) -> bool:
    """Tell whether numbers, or arrays of one shape, agree to a relative difference.

    Args:
        value: Of the student; one that has a unit is to be made a number before.
        right: What is right.
        within: The largest difference, relative to the largest number in `right`.
    """
    one, other = np.asarray(value, float), np.asarray(right, float)
    if one.shape != other.shape or not np.all(np.isfinite(one)):
        return False
    return bool(np.all(np.abs(one - other) <= within * np.max(np.abs(other), initial=1e-300)))
