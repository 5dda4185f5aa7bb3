"""Runs of uncoupled cells side by side have the bits that they have alone."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NonFiniteState
from somaflow.running.arguments import read
from somaflow.running.job import Job, job_of
from somaflow.running.rows import rows_of, run_together
from somaflow.running.uncoupled import lay
from somaflow.storage.solution import Solution
from somaflow.units import cm, mS, ms, mV, nA, uA

DT = 0.1 * ms
LIF = sf.Equations.parse(
    """
    dv/dt = (E_L - v + R*(I + J) - R*w)/tau : mV
    dw/dt = -w/tau_w : nA
    I : nA
    J : nA
    """,
    E_L=-65 * mV,
    R=10 * mV / nA,
    tau=20 * ms,
    tau_w=50 * ms,
    w=0 * nA,
    v="E_L + rand()*5*mV + i*mV",
)


def job(
    network: sf.Network, record: list, duration: object = 30 * ms, dt: object = DT, **asked: object
) -> Job:
    """Return a run as it is asked for."""
    known = {"solver": None, "dtype": "float64", "seed": 0, "initial": None, **asked}
    order = [known[name] for name in ("solver", "dtype", "seed")]
    return job_of(read(network, duration, dt, *order, record, known["initial"], None, None))


def alone(job: Job) -> Solution:
    """Return the run by itself, as `sf.simulate` does it."""
    return sf.simulate(
        job.network,
        job.duration,
        dt=job.dt,
        solver=job.solver,
        dtype=job.dtype,
        seed=job.seed,
        record=job.recorders,
        initial=job.initial or None,
        progress=False,
    )


def check_same(found: object, expected: Solution) -> None:
    """Check that two runs are equal to the bit in all that they tell."""
    assert isinstance(found, Solution), found
    assert found.to_xarray().identical(expected.to_xarray())
    assert found.meta == expected.meta and found.status == expected.status
    timed = {"compile_seconds", "run_seconds", "compiled"}
    for name in expected.statistics.keys() - timed:
        assert found.statistics[name] == expected.statistics[name]
    mine, other = found.final, expected.final
    assert (mine.steps, mine.dt, mine.sizes) == (other.steps, other.dt, other.sizes)
    assert mine.network == other.network
    for name, states in other.states.items():
        for state, values in states.items():
            np.testing.assert_array_equal(mine.states[name][state], values)
    assert mine.events.keys() == other.events.keys()
    for name, values in other.events.items():
        assert mine.events[name].dtype == values.dtype
        assert mine.events[name].shape == values.shape
        size = other.sizes.get(name.partition(" ")[2])  # what fills the block is nobody's
        np.testing.assert_array_equal(mine.events[name][:size], values[:size])


def squid(amplitude: float, g: float, v: float = -65.0, **asked: object) -> Job:
    """Return a run of one cell of Hodgkin and Huxley."""
    cell = sf.Population("cells", 1, sf.load("hodgkin_huxley_1952")(g_na=g * mS / cm**2))
    clamp = sf.CurrentClamp(cell, amplitude * uA / cm**2, start=1 * ms)
    record = [cell.spikes, cell["v"].mean().every(0.5 * ms, "max"), cell["m"]]
    initial = {"cells": {"v": v * mV}}
    return job(sf.Network(cell, clamp), record, dt=0.02 * ms, initial=initial, **asked)


def fire(k: int, n: int = 3) -> Job:
    """Return a run of cells with thresholds, of which nearly every number depends on k."""
    cells = sf.Population(
        "cells",
        n,
        LIF(R=(10 + k) * mV / nA, tau=sf.Uniform(15 * ms, 25 * ms)),
        threshold="v > -50*mV",
        reset="v = -65*mV; w += 0.1*nA",
        refractory=(1 + 0.1 * k) * ms if k % 2 else np.linspace(1, 2, n) * ms,
        events={"late": "v > -52*mV"},
    )
    still = sf.Population("still", 1, LIF(v=-60 * mV))
    network = sf.Network(
        cells,
        still,
        sf.CurrentClamp(cells, np.linspace(2, 3, n) * nA, start=k * ms, stop=25.03 * ms, into="I"),
        sf.CurrentClamp(cells[:2], 0.3 * nA, start=2 * ms, into="I"),
        sf.Stimulus(cells[1:], sf.Ramp(0 * nA, k * nA, 2 * ms, 12 * ms), into="J"),
        sf.Stimulus(still, sf.SaturatingPulse(k * nA, 1, 9, 3 + k, 4), into="I"),
        sf.Stimulus(still, sf.Waveform([1.0, k, 2.0] * nA, every=5 * ms), into="J"),
        seed=k,
    )
    record = [
        cells.spikes.with_("w"),
        cells[[2, 0]].spikes.as_("two"),
        cells.spikes.every(5 * ms),
        cells[1:].spikes.every(10 * ms).mean().as_("share"),
        cells.rate(10 * ms),
        cells.event("late"),
        cells[[2, 0]]["v"].every(1 * ms),
        cells["w"].every(2 * ms, "mean").as_("w"),
        still["v"].mean().every(7 * ms),
        cells["I"].every(1 * ms),
    ]
    return job(network, record, solver=sf.ExponentialEuler())


class TestBits:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_cells_of_hodgkin_and_huxley(self, dtype: str) -> None:
        points = [(0, 120, -65), (12, 100, -60), (20, 150, -70), (12, 120, -65)]
        jobs = [squid(*point, dtype=dtype) for point in points]
        expected = [alone(job) for job in jobs]
        assert len(expected[1]["cells.spikes"]) == 2
        orders = [([0, 1, 2, 3], 4), ([3, 1], 4)] + [([1, 2], 40)] * (dtype == "float64")
        for order, rows in orders:
            found = run_together([jobs[k] for k in order], rows)
            for k, result in zip(order, found, strict=True):
                check_same(result, expected[k])

    def test_thresholds_stimuli_and_views(self) -> None:
        jobs = [fire(k) for k in range(1, 6)]
        expected = [alone(job) for job in jobs]
        assert all(0 < len(run["two"]) < len(run["cells.spikes"]) for run in expected)
        for order, rows in (([0, 1, 2, 3, 4], 6), ([4, 2], 6), ([3], 6)):
            found = run_together([jobs[k] for k in order], rows)
            for k, result in zip(order, found, strict=True):
                check_same(result, expected[k])

    def test_cells_that_wait_while_a_condition_holds(self) -> None:
        def waiting(k: int) -> Job:
            cells = sf.Population(
                "cells",
                2,
                LIF(R=(10 + k) * mV / nA),
                threshold="v > -50*mV",
                reset="v = -65*mV; w += 0.1*nA",
                refractory="w > 0.095*nA" if k < 2 else 1 * ms,
            )
            clamp = sf.CurrentClamp(cells, 3 * nA, into="I")
            return job(sf.Network(cells, clamp), [cells["v"], cells.spikes])

        jobs = [waiting(k) for k in range(3)]
        assert all(lay(one) is not None for one in jobs)
        for one, found in zip(jobs, run_together(jobs, 2), strict=True):
            expected = alone(one)
            assert len(expected["cells.spikes"]) > 0
            check_same(found, expected)

    def test_maps(self) -> None:
        def logistic(a: float) -> Job:
            model = sf.Equations.parse("x[n+1] = a*x[n]*(1 - x[n]) : 1", a=a, x=0.3)
            cells = sf.Population("cells", 2, model)
            return job(sf.Network(cells), [cells["x"]], 100, 1)

        rates = 3.7, 3.9
        runs = run_together([logistic(a) for a in rates], 2)
        for a, found in zip(rates, runs, strict=True):
            assert isinstance(found, Solution)
            x = 0.3
            for value in found["cells.x"].values[:20]:
                np.testing.assert_allclose(value, x, rtol=1e-9)
                x = a * x * (1 - x)

    def test_a_run_goes_on_from_one_of_many(self) -> None:
        first = fire(3)
        run = run_together([fire(2), first], 6)[1]
        assert isinstance(run, Solution)
        more = {"dt": DT, "solver": first.solver, "record": first.recorders, "progress": False}
        rest = sf.simulate(first.network, 20 * ms, initial=run.final, **more)
        expected = sf.simulate(first.network, 20 * ms, initial=alone(first).final, **more)
        assert rest.to_xarray().identical(expected.to_xarray())


class TestFailures:
    @staticmethod
    def _grow(rate: float, v: float = 1.0) -> Job:
        model = sf.Equations.parse("dv/dt = a*v**2/mV : mV", a=rate / ms, v=v * mV)
        cells = sf.Population("cells", 2, model)
        return job(sf.Network(cells), [cells["v"]])

    def test_a_member_that_blows_up_takes_no_other_with_it(self) -> None:
        jobs = [self._grow(rate) for rate in (0.01, 1.0, 0.02, 0.5)]
        found = run_together(jobs, 4)
        for place in (0, 2):
            check_same(found[place], alone(jobs[place]))
        for place in (1, 3):
            with pytest.raises(NonFiniteState) as caught:
                alone(jobs[place])
            assert isinstance(found[place], NonFiniteState)
            assert str(found[place]) == str(caught.value)

    def test_what_cannot_begin_fails_by_itself(self) -> None:
        jobs = [self._grow(0.01), self._grow(0.02)]
        cells = jobs[0].network.populations[0]
        bad = job(jobs[0].network, [cells["v"]], initial={"cells": {"v": [1, 2, 3] * mV}})
        found = run_together([jobs[0], bad, jobs[1]], 4)
        assert isinstance(found[1], sf.errors.RunError) and "shape (3,)" in str(found[1])
        check_same(found[0], alone(jobs[0]))
        check_same(found[2], alone(jobs[1]))


class TestWhatIsLaid:
    def test_a_smaller_batch_is_not_compiled_anew(self) -> None:
        run_together([squid(1, 120), squid(2, 120)], 4)
        (found,) = run_together([squid(3, 110)], 4)
        assert isinstance(found, Solution) and not found.statistics["compiled"]

    def test_how_many(self) -> None:
        assert rows_of(fire(1, n=3)) == 1024 // 4
        assert rows_of(squid(1, 120)) == 1024
        cells = sf.Population("cells", 3, LIF)
        stored = job(sf.Network(cells), [cells["v"]], 1000 * ms, 0.01 * ms)
        assert rows_of(stored) == (256 << 20) // (8 * 3 * 100_001)

    def test_what_cannot_lie_beside_others_runs_alone(self) -> None:
        cells = sf.Population("cells", 2, LIF, threshold="v > -62*mV", reset="v = -65*mV")
        drive = sf.CurrentClamp(cells, 3 * nA, into="I")
        noise = sf.Stimulus(cells, sf.WhiteNoise(1 * nA * ms**0.5), into="J")
        by_chance = sf.Population(
            "cells", 2, LIF, threshold="v > -62*mV + rand()*mV", reset="v = -65*mV"
        )
        by_place = sf.Population("cells", 2, LIF, threshold="v > -62*mV + i*mV", reset="v = -65*mV")
        kick = sf.Equations.parse("v_post : mV\non spike: v_post += 1*mV")
        source = sf.Population("source", 2, sf.SpikeSourcePoisson(50 / sf.units.second))
        synapse = sf.Projection(cells, cells, kick, into="I")
        networks = {
            "noise": sf.Network(cells, noise),
            "chance": sf.Network(by_chance),
            "place": sf.Network(by_place),
            "source": sf.Network(cells, drive, source),
            "projection": sf.Network(cells, drive, synapse),
            "clamp": sf.Network(cells, sf.VoltageClamp(cells[:1], -60 * mV)),
        }
        jobs = [job(network, [network.populations[0].spikes]) for network in networks.values()]
        plain = sf.Network(cells, drive)
        jobs.append(job(plain, [cells["v"].mean()]))
        jobs.append(job(plain, [cells["v"]], solver=sf.ImplicitEuler()))
        for one in jobs:
            assert lay(one) is None
        mixed = [jobs[0], job(plain, [cells.spikes]), jobs[1]]
        for one, found in zip(mixed, run_together(mixed, 6), strict=True):
            check_same(found, alone(one))
