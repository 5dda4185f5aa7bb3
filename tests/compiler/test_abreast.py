"""Groups of one kind are computed as one, and nobody can tell it from the results."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler import abreast
from somaflow.compiler.tables import Tables
from somaflow.numerics import programs
from somaflow.units import ms, mV, nA, nS

DT = 0.1


def cells(names: str, size: int) -> list[sf.Population]:
    return [
        sf.Population(name, size + k, sf.load("lif"), refractory=1 * ms)
        for k, name in enumerate(names)
    ]


def driven(populations: list[sf.Population]) -> list[sf.CurrentClamp]:
    return [sf.CurrentClamp(p, (9 + 2 * k) * nA, k * ms) for k, p in enumerate(populations)]


def network(kind: str) -> sf.Network:
    """Return three populations that are joined by eight projections of one kind, and by others."""
    few = "matrix" in kind
    conductance = kind == "matrix of conductances"
    populations = cells("abc", 5 if few else 40)
    synapse = sf.load("exponential_conductance" if conductance else "exponential_current")
    other = synapse(tau=9 * ms)
    projections = []
    for k in range(9):
        delay: Any = (k % 4) * ms
        if kind == "ring":
            delay = sf.Uniform(1 * ms, (2 + k % 3 / 5) * ms, seed=k)
        projections.append(
            sf.Projection(
                populations[k % 3],
                populations[k // 3],
                other if k == 4 else synapse,
                sf.AllToAll() if few else sf.FixedProbability(0.3, seed=k),
                weight=(1 + k % 3) * (3 * nS if conductance else 0.2 * nA),
                delay=delay,
                name=f"q{k}",
            )
        )
    return sf.Network(*populations, *projections, *driven(populations))


def tables(given: sf.Network) -> Tables:
    return Tables(given, DT, 1.0, np.float64, {})


def simulate(given: sf.Network, length: float = 8, **more: Any) -> sf.Solution:
    state = next(iter(given.projections[2].equations.states))
    record = [p.spikes for p in given.populations]
    record += [given.populations[0]["v"], given.projections[2]["I"], given.projections[2][state]]
    settings: dict[str, Any] = {"solver": sf.ExponentialEuler(), "record": record} | more
    return sf.simulate(given, length * ms, dt=DT * ms, **settings)


def same(one: sf.Solution, other: sf.Solution) -> None:
    """Hold two runs to have the same spikes, samples and end."""
    for name in "abc":
        found, wanted = one[f"{name}.spikes"], other[f"{name}.spikes"]
        np.testing.assert_array_equal(found.times, wanted.times)
        np.testing.assert_array_equal(found.cells, wanted.cells)
    for key in ("a.v", "q2.I"):
        np.testing.assert_array_equal(one[key], other[key])
    assert one.final.groups == other.final.groups
    assert one.final.events.keys() == other.final.events.keys()
    for name, states in one.final.states.items():
        for state, value in states.items():
            np.testing.assert_array_equal(value, other.final.states[name][state])
    for key, value in one.final.events.items():
        np.testing.assert_array_equal(value, other.final.events[key], err_msg=key)


KINDS = ["matrix", "matrix of conductances", "loop", "ring"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_groups_of_one_kind_give_the_bits_of_each_by_itself(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = network(kind)
    assert len(tables(given).apart) > len(tables(given).couplings) == 2
    joined = simulate(given)
    assert sum(len(joined[f"{name}.spikes"].times) for name in "abc") > 30
    assert np.ptp(joined["q2.I"].values) > 0
    monkeypatch.setattr(abreast, "_MOST", -1)
    programs.clear()
    assert len(tables(given).apart) == len(tables(given).couplings)
    same(joined, simulate(given))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matrix", "ring"])
def test_a_run_goes_on_with_the_bits_of_one_long_run(kind: str) -> None:
    given = network(kind)
    whole, first = simulate(given), simulate(given, 5)
    rest = simulate(given, 3, initial=first.final)
    for name in "abc":
        times = [run[f"{name}.spikes"].times for run in (first, rest)]
        np.testing.assert_array_equal(np.concatenate(times), whole[f"{name}.spikes"].times)
    for key, value in whole.final.events.items():
        np.testing.assert_array_equal(value, rest.final.events[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matrix", "loop", "ring"])
def test_rows_of_a_batch_are_runs_alone(kind: str) -> None:
    given = network(kind)

    def run(*starts: float) -> sf.Solution:
        return simulate(given, 6, initial={"a": {"v": np.array(starts)[:, None] * mV}})

    both = run(-65, -58)
    for row, start in enumerate((-65, -58)):
        alone = run(start)
        np.testing.assert_array_equal(both["a.v"].values[:, row], alone["a.v"].values[:, 0])
        assert both["b.spikes"].problems is not None
        mine = both["b.spikes"].problems[:, 0] == row
        np.testing.assert_array_equal(both["b.spikes"].times[mine], alone["b.spikes"].times)


def test_what_differs_stays_apart() -> None:
    """Kinetics, delays of one number beside delays that differ, and what reads the cell."""
    a, b = cells("ab", 5)
    current = sf.load("exponential_current")
    stays = [
        sf.Projection(a, b, current(tau=3 * ms), sf.AllToAll(), 1 * nA, name="slow"),
        sf.Projection(b, a, current, sf.AllToAll(), 1 * nA, name="fixed"),
        sf.Projection(
            a, b, current, sf.AllToAll(), 1 * nA, name="late", delay=sf.Uniform(1 * ms, 2 * ms)
        ),
        sf.Projection(a, b, sf.load("delta"), sf.AllToAll(), 1 * mV, name="jump"),
        sf.Projection(b, a, sf.load("delta"), sf.AllToAll(), 1 * mV, name="other jump"),
    ]
    found = tables(sf.Network(a, b, *stays))
    assert all(len(parts) == 1 for parts in found.made_of)


def test_a_long_delay_does_not_lengthen_the_rings_of_short_ones() -> None:
    populations = cells("abcd", 40)
    projections = [
        sf.Projection(
            pre, populations[0], sf.load("exponential_current"), sf.FixedInDegree(5),
            weight=0.1 * nA, delay=sf.Uniform(1 * ms, last * ms), name=f"q{last}",
        )
        for pre, last in zip(populations, (1.2, 1.3, 1.4, 100), strict=True)
    ]  # fmt: skip
    made = tables(sf.Network(*populations, *projections))
    assert sorted(len(parts) for parts in made.made_of) == [1, 3]
    assert sorted(coupling.wiring.latest for coupling in made.couplings)[0] <= 15
