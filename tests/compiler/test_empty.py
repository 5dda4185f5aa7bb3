"""Projections without a synapse: they run, and nothing comes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import somaflow as sf
from somaflow.units import ms, nA, nS, um

DT, DURATION = 0.1 * ms, 20 * ms
SYNAPSES = sf.catalogue("synapses")
CELLS = sf.Population("P", 3, sf.load("lif"), positions=[0, 100, 200] * um)
DRIVE = sf.CurrentClamp(CELLS, [3, 4, 5] * nA)
CONNECTORS = {
    "probability 0": sf.FixedProbability(0.0, seed=1),
    "an empty list": sf.FromList([]),
    "an empty matrix": sf.FromSparse(sparse.coo_array((3, 3))),
    "a total of 0": sf.FixedTotal(0, seed=1),
    "an in-degree of 0": sf.FixedInDegree(0, seed=1),
    "an out-degree of 0": sf.FixedOutDegree(0, seed=1),
    "no pair within the radius": sf.DistanceDependent("0", seed=1),
}
# The variables that belong to single synapses, and those that cells have.
FORMS = {
    "pulsed": ("ampa", {}, ["o"]),
    "jumping": ("exponential_conductance", {}, ["G", "I"]),
    "later": ("exponential_conductance", {"delay": 1 * ms}, ["G"]),
    "plastic": ("stdp_pair_all_to_all", {}, ["w", "x", "G"]),
    "graded": ("graded_conductance", {}, ["s"]),
    "gap": ("gap_junction", {}, ["I"]),
}


def projection(connector: Any, synapse: str = "exponential_conductance", **given: Any) -> Any:
    return sf.Projection(CELLS, CELLS, sf.load(synapse), connector, name="none", **given)


@pytest.fixture(scope="module")
def alone() -> sf.Solution:
    return sf.simulate(sf.Network(CELLS, DRIVE), DURATION, dt=DT, record=[CELLS["v"], CELLS.spikes])


def run(made: sf.Projection, *record: Any, **given: Any) -> sf.Solution:
    record = (CELLS["v"], CELLS.spikes, *record)
    return sf.simulate(sf.Network(CELLS, DRIVE, made), DURATION, dt=DT, record=record, **given)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_projection_without_a_synapse_gives_nothing(
    name: str, alone: sf.Solution, tmp_path: Path
) -> None:
    synapse, given, variables = FORMS[name]
    made = projection(CONNECTORS["probability 0"], synapse, **given)
    record = [made[variable] for variable in variables]
    path = str(tmp_path / "run.zarr")
    found = run(made, *record, sink=path, checkpoint=10 * ms)
    assert alone["P.spikes"].counts().sum() > 0
    assert found["P.v"].values.tobytes() == alone["P.v"].values.tobytes()
    for recorder in record:
        n = 0 if recorder.variable == "w" else 3
        assert found[recorder.key].shape == (201, n)
        assert recorder.variable in ("x", "s", "o") or not np.any(found[recorder.key])


@pytest.mark.parametrize("connector", CONNECTORS.values(), ids=CONNECTORS)
def test_every_connector_may_join_nothing(connector: Any, tmp_path: Path) -> None:
    made = projection(connector)
    table = made.connections()
    assert len(table) == len(table.weight) == len(table.delay) == 0
    assert table.table().sizes["synapse"] == table.to_scipy().nnz == 0
    network = sf.Network(CELLS, DRIVE, made)
    assert "0 synapses" in network.explain()
    assert sf.plan(network, DURATION, dt=DT)
    network.save(tmp_path / "network")
    assert sf.load_network(tmp_path / "network") == network


def test_weights_and_delays_of_nothing_are_taken(alone: sf.Solution) -> None:
    given = {"weight": np.zeros(0) * nS, "delay": sf.Uniform(1 * ms, 2 * ms, seed=1)}
    found = run(projection(sf.FromList([]), **given))
    assert found["P.v"].values.tobytes() == alone["P.v"].values.tobytes()


def test_views_without_a_pair_are_joined_to_nothing() -> None:
    one = CELLS[:1]
    made = sf.Projection(
        one, one, sf.load("exponential_conductance"), sf.AllToAll(self_connections=False)
    )
    assert len(made.connections()) == 0


def test_it_goes_on_from_where_it_ended() -> None:
    made = projection(sf.FromList([]), "stdp_pair_all_to_all")
    network = sf.Network(CELLS, DRIVE, made)
    whole = sf.simulate(network, DURATION, dt=DT, record=[CELLS["v"]])
    half = sf.simulate(network, 10 * ms, dt=DT, record=[CELLS["v"]])
    rest = sf.simulate(network, 10 * ms, dt=DT, record=[CELLS["v"]], initial=half.final)
    assert rest["P.v"].values[-1].tobytes() == whole["P.v"].values[-1].tobytes()
