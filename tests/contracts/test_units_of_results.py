"""Results carry the unit that the equations declare, whatever unit that is."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, SomaflowWarning
from somaflow.units import ms, mV, nA, volt


def test_a_recording_is_in_the_declared_unit() -> None:
    text = """
    I_stim : nA
    J = I_stim*2 : nA
    dv/dt = (E - v)/tau : volt
    """
    model = sf.Equations.parse(text, E=2 * volt, tau=20 * ms, v=1)
    cell = sf.Population("c", 1, model)
    network = sf.Network(cell, sf.CurrentClamp(cell, 2 * nA))
    run = sf.simulate(network, 1 * ms, dt=0.1 * ms, record=[cell["v"], cell["J"]])
    assert run["c.v"].attrs["units"] == "volt"
    assert run["c.v"].values[0, 0] == pytest.approx(1.0)
    assert run["c.J"].attrs["units"] == "nA"
    np.testing.assert_allclose(run["c.J"].values, 4.0, rtol=1e-12)


def test_solve_gives_the_unit_of_its_initial_state() -> None:
    sol = sf.solve(lambda t, y: {"x": 0.0 * y["x"]}, {"x": 1 * volt}, t1=1.0, dt=0.5)
    assert sol["x"].values == pytest.approx([1.0, 1.0, 1.0])


def test_a_threshold_does_not_know_the_input() -> None:
    text = "I_stim : nA\ndv/dt = (E - v + R*I_stim)/tau : mV"
    model = sf.Equations.parse(text, E=-65 * mV, R=10 * mV / nA, tau=20 * ms, v=-65)
    with pytest.raises(NetworkError, match="threshold and the reset of 'c'"):
        sf.Population("c", 1, model, threshold="v > R*I_stim")


def test_a_constant_that_is_written_as_an_input_is_told_of() -> None:
    text = "I_ext : nA\nE : mV\ndv/dt = (E - v + R*I_ext)/tau : mV"
    cells = sf.Population("c", 1, sf.Equations.parse(text, R=10 * mV / nA, tau=20 * ms, v=-65))
    with pytest.warns(SomaflowWarning, match="nothing drives the input 'E' of 'c'.*E=..."):
        sf.Network(cells)
