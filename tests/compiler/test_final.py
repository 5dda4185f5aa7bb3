"""A run that goes on from another's final state gives the bits of one long run."""

from typing import Any

import numpy as np
import pytest
from own_solvers import AdamsBashforth2

import somaflow as sf
from somaflow.errors import RunError, UnknownNameError
from somaflow.units import Hz, ms, mV, nA, uS

pytestmark = pytest.mark.slow

CELLS = sf.Population("cells", 20, sf.load("lif"))
OTHERS = sf.Population("others", 20, sf.load("lif"))
INPUT = sf.Population("input", 20, sf.SpikeSourcePoisson(200 * Hz))


def network(current: float = 1.5, weight: float = 2.0, size: int = 20) -> sf.Network:
    others = OTHERS if size == 20 else sf.Population("others", size, sf.load("lif"))
    wiring = sf.FixedProbability(0.4, seed=2)
    delays = sf.Uniform(0.2 * ms, 3 * ms, seed=3)
    synapse = sf.load("stdp_pair_all_to_all")(w_max=0.02 * uS)
    drive = sf.load("alpha_current")
    return sf.Network(
        CELLS,
        others,
        INPUT,
        sf.CurrentClamp(CELLS, np.linspace(current, 3, 20) * nA),
        sf.Projection(CELLS, others, synapse, wiring, delay=1.5 * ms, weight=0.01 * uS),
        sf.Projection(INPUT, CELLS, drive, weight=weight * nA / 20, delay=delays),
        sf.Stimulus(others, sf.OrnsteinUhlenbeck(1.5 * nA, 0.5 * nA, 5 * ms)),
    )


def run(net: sf.Network, duration: float, initial: object = None, seed: int = 5) -> sf.Solution:
    record = [CELLS.spikes, net.population("others").spikes, CELLS["v"].every(1 * ms)]
    return sf.simulate(net, duration * ms, dt=0.1 * ms, record=record, initial=initial, seed=seed)


@pytest.fixture(scope="module")
def halves() -> tuple[sf.Solution, sf.Solution]:
    first = run(network(), 30)
    return first, run(network(), 30, first.final)


def test_two_runs_give_the_bits_of_one(halves: tuple[sf.Solution, sf.Solution]) -> None:
    first, second = halves
    whole = run(network(), 60)
    for key in ("cells.spikes", "others.spikes"):
        times = np.concatenate([first[key].times, second[key].times])
        assert len(times) > 20
        np.testing.assert_array_equal(times, whole[key].times)
    np.testing.assert_array_equal(whole["cells.v"].values[30:], second["cells.v"].values)
    np.testing.assert_array_equal(second["cells.v"].time, whole["cells.v"].time[30:])
    assert whole.final is not None
    assert second.final is not None
    assert second.final.time == whole.final.time == 60
    for name, value in whole.final.events.items():
        np.testing.assert_array_equal(value, second.final.events[name], err_msg=name)


def test_parameters_weights_and_inputs_may_change_between_parts(
    halves: tuple[sf.Solution, sf.Solution],
) -> None:
    first, second = halves
    changed = run(network(current=2.5, weight=0.0), 30, first.final)
    assert changed["cells.v"].values[0] == pytest.approx(second["cells.v"].values[0])
    assert len(changed["cells.spikes"]) != len(second["cells.spikes"])


def test_rates_and_trains_know_when_the_run_began(
    halves: tuple[sf.Solution, sf.Solution],
) -> None:
    spikes = halves[1]["cells.spikes"]
    assert spikes.start == 30
    np.testing.assert_allclose(spikes.rates(), spikes.counts() / 0.03)
    assert spikes.times.min() > 30


def test_a_state_of_another_network_is_refused(halves: tuple[sf.Solution, sf.Solution]) -> None:
    final = halves[0].final
    with pytest.raises(RunError, match="'others' has 21 cells, but 20"):
        wiring = sf.Network(CELLS, sf.Population("others", 21, sf.load("lif")), INPUT)
        sf.simulate(wiring, 1 * ms, dt=0.1 * ms, initial=final)
    with pytest.raises(RunError, match="by projection 'input_to_cells', whose delays differ"):
        sf.simulate(network(), 5 * ms, dt=0.05 * ms, initial=final)
    with pytest.raises(RunError, match="float64, but this run is float32"):
        sf.simulate(network(), 5 * ms, dt=0.1 * ms, initial=final, dtype="float32")


def test_an_interval_is_not_begun_in_its_middle(halves: tuple[sf.Solution, sf.Solution]) -> None:
    with pytest.raises(RunError, match="begins at 30 ms, within one"):
        record = CELLS["v"].every(4 * ms, "mean")
        sf.simulate(network(), 8 * ms, dt=0.1 * ms, initial=halves[0].final, record=record)


def test_the_states_can_be_looked_at(halves: tuple[sf.Solution, sf.Solution]) -> None:
    final = halves[0].final
    assert final is not None
    assert final["cells"]["v"].shape == (20,)
    np.testing.assert_array_equal(final["cells"]["v"], halves[0]["cells.v"].values[-1])
    with pytest.raises(UnknownNameError, match="no population 'cell'"):
        final["cell"]


def test_initial_values_are_drawn() -> None:
    start = {"cells": {"v": sf.Uniform(-65 * mV, -55 * mV, seed=1)}}
    made = sf.simulate(sf.Network(CELLS), 1 * ms, dt=0.1 * ms, record=CELLS["v"], initial=start)
    found = made["cells.v"].values[0]
    assert found.std() > 1
    assert found.min() > -65
    assert found.max() < -55


def test_means_over_time_begin_with_the_state_that_is_given(
    halves: tuple[sf.Solution, sf.Solution],
) -> None:
    first = halves[0]
    record = CELLS["v"].every(5 * ms, "mean")
    alone = sf.Network(CELLS)
    going_on = sf.simulate(alone, 5 * ms, dt=0.1 * ms, initial=first.final, record=record)
    found = going_on["cells.v.mean_over_time"].values[0]
    np.testing.assert_array_equal(found, first["cells.v"].values[-1])


def test_a_method_begins_anew_in_a_cell_that_is_moved_and_there_alone() -> None:
    equations = sf.Equations.parse("dv/dt = (E - v)/tau : mV", E=0 * mV, tau=2 * ms, v=-50 * mV)
    cells = sf.Population("cells", 3, equations)
    net = sf.Network(cells)
    given: dict[str, Any] = {"dt": 0.5 * ms, "solver": AdamsBashforth2(), "record": cells["v"]}
    first = sf.simulate(net, 2 * ms, **given)
    after = first.final.with_(cells={"v": [*first["cells.v"].values[-1, :2], 30.0] * mV})
    found = sf.simulate(net, 2 * ms, initial=after, **given)["cells.v"].values
    fresh = sf.simulate(net, 2 * ms, initial={"cells": {"v": 30 * mV}}, **given)
    whole = sf.simulate(net, 4 * ms, **given)["cells.v"].values
    assert found[:, 2] == pytest.approx(fresh["cells.v"].values[:, 2], rel=1e-12)
    np.testing.assert_array_equal(found[:, :2], whole[4:, :2])
