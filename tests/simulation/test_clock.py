import pytest

from somaflow.errors import RunError
from somaflow.simulation.clock import whole_steps


@pytest.mark.parametrize(
    ("duration", "dt", "steps"),
    [(1, 0.01, 100), (0.3, 0.1, 3), (2.3, 0.01, 230), (1e6, 0.01, 10**8), (0.07, 0.07, 1)],
)
def test_a_whole_number_of_steps(duration: float, dt: float, steps: int) -> None:
    assert whole_steps(duration, dt, "x") == steps


@pytest.mark.parametrize(
    ("duration", "dt"), [(1, 0.03), (0.05, 0.1), (0.0, 0.1), (1.0001, 0.01), (0.15, 0.1)]
)
def test_anything_else_is_refused_with_what_would_do(duration: float, dt: float) -> None:
    with pytest.raises(RunError, match=rf"the interval is {duration:g} ms.*dt = {dt:g} ms; use"):
        whole_steps(duration, dt, "the interval")
