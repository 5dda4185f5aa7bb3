"""What tells whether something is compiled again: its content, wherever an object came from."""

import pickle

import pytest

import somaflow as sf
from somaflow.compiler.reading import signature

FIXED = [
    sf.Euler(), sf.Heun(), sf.Midpoint(), sf.RK4(), sf.ThreeEighths(), sf.ExponentialEuler(),
    sf.ExponentialMidpoint(), sf.EulerMaruyama(), sf.StochasticHeun(), sf.BogackiShampine(),
    sf.DormandPrince(), sf.Tsitouras(),
]  # fmt: skip


@pytest.mark.parametrize("solver", FIXED, ids=lambda solver: type(solver).__name__)
def test_a_solver_that_was_sent_to_another_process_is_the_same(solver: object) -> None:
    there = pickle.loads(pickle.dumps(solver))
    assert signature(there) == signature(solver)


def test_other_solvers_are_others() -> None:
    assert signature(sf.RK4()) != signature(sf.ThreeEighths())
