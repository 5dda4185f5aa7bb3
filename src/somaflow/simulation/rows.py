"""What steps of each column's own are told, and what one hands to the next."""

from typing import NamedTuple

from somaflow.numerics.types import Nest, Tensor


class Timetable(NamedTuple):
    """What a compiled stretch is told.

    Attributes:
        scales: float64 [6]: the user's time at 0, the last time, dt (fixed steps), rtol, the
            longest step (infinite for any), the first step (0 where it is to be chosen).
        atol: Absolute tolerance, [n, 1].
        counts: int32 [3]: the most attempts in this stretch, samples in it, and the most attempts
            of a column in all.
        marks: float64 [capacity]: times of the samples, ascending, from 0.
        pieces: float64 [3, n_pieces]: where each piece between two jumps of the field ends, from 0,
            and the least and the greatest of the user's times that belong to it; () without jumps.
    """

    scales: Tensor
    atol: Tensor
    counts: Tensor
    marks: Tensor
    pieces: Tensor


class Rows(NamedTuple):
    """What a step of every column hands to the next.

    Attributes:
        y: State, [n, R].
        memory: The solver's.
        s: Time, float64 [R]; `low` is what adding up has lost of it.
        low: See `s`.
        h: Size of the next step, float64 [R].
        error: Logarithm of the scaled error of the last accepted step, [R].
        repeated: Whether the last attempt was rejected, [R].
        status: One of the constants of `flow`, int32 [R].
        grid: Steps of a fixed grid that are complete, int32 [R]; () for adaptive steps.
        before: State at the start of the last step made, [n, R].
        start: Its time, float64 [R].
        span: Its size, before an event cut it, float64 [R].
        cut: Whether an event cut it, [R]; () where none can.
        side: Margin of each condition at `s`, [R] each.
        recent: Time at which each event last cut a step, float64 [R]; () where none can.
        piece: The piece between jumps in which the next step lies, int32 [R]; () without jumps.
        piece_before: That of the last step made.
        worst: The component with the largest error at the last attempt, int32 [R].
        accepted: Steps made, int32 [R].
        rejected: Attempts in vain, int32 [R].
        smallest: The smallest step made, float64 [R].
    """

    y: Tensor
    memory: Nest
    s: Tensor
    low: Tensor
    h: Tensor
    error: Tensor
    repeated: Tensor
    status: Tensor
    grid: Tensor
    before: Tensor
    start: Tensor
    span: Tensor
    cut: Tensor
    side: tuple[Tensor, ...]
    recent: tuple[Tensor, ...]
    piece: Tensor
    piece_before: Tensor
    worst: Tensor
    accepted: Tensor
    rejected: Tensor
    smallest: Tensor


class Attempt(NamedTuple):
    """The size of an attempted step.

    Attributes:
        h: float64 [R]; 0 for columns that wait.
        target: Where the step ends if it is the last before a set time, float64 [R].
        last: Whether it is, [R].
        active: Whether the column does not wait, [R].
    """

    h: Tensor
    target: Tensor
    last: Tensor
    active: Tensor
