"""What spikes move within the step of their arrival: never beyond where the current vanishes."""

from functools import cache
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, NonFiniteState
from somaflow.units import ms, mV, nA, nF, nS, uS

DT, AT = 0.1, 2.03
SINCE = 0.07  # from the spikes to their step's end
C, G_LEAK, REST = 0.2, 0.01, -60.0  # nF, uS, mV
COUNT, WEIGHT = 250, 0.067  # synapses and uS: 16.75 uS in all
EXPONENTIAL = sf.load("exponential_conductance")
CELL = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA"
NUMBERS: dict[str, Any] = {"g": G_LEAK * uS, "E": REST * mV, "C": C * nF, "v": REST}


def spikes(count: int = COUNT) -> sf.Population:
    times = np.full(count, AT) * ms
    return sf.Population("source", count, sf.SpikeSourceArray(times, cells=np.arange(count)))


def ran(network: sf.Network, cell: sf.Population, solver: Any = None, **more: Any) -> Any:
    solver = sf.ExponentialEuler() if solver is None else solver
    length = more.pop("length", 6.0)
    states = [cell[state] for state in cell.equations.states]
    return sf.simulate(
        network, length * ms, dt=more.pop("dt", DT) * ms, solver=solver, record=states, **more
    )


@cache
def under(solver: Any, *reversals: float) -> np.ndarray:
    """The voltage of a cell that 250 synapses of each kind reach at once."""
    source = spikes()
    cell = sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    synapses = [
        sf.Projection(
            source, cell, EXPONENTIAL(E=E * mV, tau=5 * ms), weight=WEIGHT * uS, name=f"to{n}"
        )
        for n, E in enumerate(reversals)
    ]
    return ran(sf.Network(source, cell, *synapses), cell, solver)["cell.v"].values[:, 0]


AREA = COUNT * WEIGHT * 5 * -np.expm1(-SINCE / 5)  # uS ms, of one kind
STIFF = [sf.ExponentialEuler(), sf.ExponentialMidpoint(), sf.Rosenbrock(), sf.ImplicitEuler()]


@pytest.mark.parametrize("solver", STIFF, ids=lambda solver: solver.name)
@pytest.mark.parametrize("reversal", [-80.0, 0.0])
def test_no_cell_is_moved_beyond_the_reversal_potential(solver: Any, reversal: float) -> None:
    v = under(solver, reversal)
    assert np.all(v[:21] == REST)
    assert np.abs(v - REST).max() <= abs(reversal - REST)
    wanted = reversal + (REST - reversal) * np.exp(-AREA / C)
    assert v[21] == pytest.approx(wanted, abs=1e-9)
    # What is left of 16.75 uS after 4 ms, against a leak of 10 nS.
    left = COUNT * WEIGHT * np.exp(-(6 - AT) / 5)
    assert v[-1] == pytest.approx((left * reversal + G_LEAK * REST) / (left + G_LEAK), abs=0.01)


def test_excitation_and_inhibition_of_one_step_meet_at_their_joint_reversal() -> None:
    v = under(sf.ExponentialEuler(), -80.0, 0.0)
    assert v[21] == pytest.approx(-40 + (REST + 40) * np.exp(-2 * AREA / C), abs=1e-9)


def test_every_state_that_the_current_moves_gets_its_share() -> None:
    """The current changes with both states; each gets the part of the charge that is its own."""
    text = CELL.replace("g*(E - v)", "g*(E - v)*0") + "\ndu/dt = 3*I_stim/C : mV"
    cell = sf.Population("cell", 1, sf.Equations.parse(text, **NUMBERS, u=5.0))
    synapse = sf.Equations.parse(
        "v_post : mV\nu_post : mV\nI = G*(v_post - 2*u_post - E) : nA\ndG/dt = -G/tau : uS\n"
        "on spike: G += w",
        tau=5 * ms, E=-80 * mV, w=1 * uS, G=0,
    )  # fmt: skip
    source = spikes(1)
    network = sf.Network(source, cell, sf.Projection(source, cell, synapse, weight=2 * uS))
    run = ran(network, cell, length=2.1)
    # With I = G*(v - 2u - E), dv = -I/C, du = -3I/C: dI = -(1 - 6) G/C I, which grows.
    a = 5 * 2 * 5 * -np.expm1(-SINCE / 5) / C
    start = REST - 10 + 80
    charge = -start * np.expm1(a) / a * (2 * 5 * -np.expm1(-SINCE / 5))
    assert run["cell.v"].values[-1, 0] - REST == pytest.approx(charge / C, rel=1e-9)
    assert run["cell.u"].values[-1, 0] - 5 == pytest.approx(3 * charge / C, rel=1e-9)


BLOCKED = """
v_post : mV
I = G*B*(v_post - E) : nA
B = 1/(1 + exp(-0.062*v_post/mV)/3.57) : 1
dG/dt = -G/tau : uS
on spike: G += w
"""


def test_a_block_is_taken_at_the_present_voltage_and_the_cell_stays_below_reversal() -> None:
    synapse = sf.Equations.parse(BLOCKED, tau=5 * ms, E=0 * mV, w=1 * uS, G=0)
    source = spikes()
    cell = sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    network = sf.Network(source, cell, sf.Projection(source, cell, synapse, weight=1 * uS))
    v = ran(network, cell, length=2.1)["cell.v"].values[-1, 0]
    block = 1 / (1 + np.exp(0.062 * 60) / 3.57)
    wanted = REST * np.exp(-block * AREA / WEIGHT / C)
    assert v == pytest.approx(wanted, abs=1e-9)
    assert REST < v <= 0


def test_a_transmitter_pulse_of_huge_conductance_stays_below_reversal() -> None:
    """Of the gate the whole integral counts: it opens at 5.2 per ms from the spike on."""
    text = "v_post : mV\nI = w*o*(v_post - E) : nA\ndo/dt = a*(1 - o)*pulse(0.3*ms) - b*o : 1"
    synapse = sf.Equations.parse(text, a="5 1/ms", b="0.2 1/ms", E=0 * mV, w=1 * uS, o=0)
    source = spikes()
    cell = sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    network = sf.Network(source, cell, sf.Projection(source, cell, synapse, weight=WEIGHT * uS))
    v = ran(network, cell)["cell.v"].values[:, 0]
    area = COUNT * WEIGHT * 5 / 5.2 * (SINCE + np.expm1(-5.2 * SINCE) / 5.2)
    assert v[21] == pytest.approx(REST * np.exp(-area / C), abs=1e-9)
    assert v.max() <= 0


def test_a_graded_gate_that_a_pulse_opens_stays_below_1() -> None:
    text = "v_post : mV\nI = w*o**2*(v_post - E) : nA\ndo/dt = a*(1 - o)*pulse(0.3*ms) - b*o : 1"
    synapse = sf.Equations.parse(text, a="500 1/ms", b="0.2 1/ms", E=0 * mV, w=1 * uS, o=0)
    pre = spikes(1)
    cell = sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    projection = sf.Projection(pre, cell, synapse, weight=1e-6 * uS)
    record = [projection["o"]]
    run = sf.simulate(
        sf.Network(pre, cell, projection), 3 * ms, dt=DT * ms, record=record,
        solver=sf.ExponentialEuler(),
    )  # fmt: skip
    o = run["source_to_cell.o"].values[:, 0]
    wanted = 500 / 500.2 * -np.expm1(-500.2 * SINCE)
    assert o[21] == pytest.approx(wanted, abs=1e-9)
    assert o.max() <= 1


def test_a_refractory_cell_stays_where_it_is() -> None:
    """It was reset at -65 mV and is held there while the synapses open."""
    model = sf.Equations.parse(CELL, **NUMBERS | {"v": -49.0, "E": -49 * mV})
    cell = sf.Population(
        "cell", 1, model, threshold="v > -50*mV", reset="v = -65*mV", refractory=4 * ms
    )
    source = spikes()
    push = sf.CurrentClamp(cell, 1 * nA)
    network = sf.Network(
        source, cell, push, sf.Projection(source, cell, EXPONENTIAL(E=0 * mV), weight=WEIGHT * uS)
    )
    initial = {"cell": {"v": -51 * mV}}
    v = ran(network, cell, length=3.0, initial=initial)["cell.v"].values[:, 0]
    assert np.all(v[10:31] == -65.0)


def test_a_conductance_beyond_an_explicit_method_ends_the_run() -> None:
    """RK4 would give -6e54 mV in 4 ms."""
    for solver, reach in ((sf.RK4(), "2.78"), (sf.Euler(), "1.99")):
        with pytest.raises(NonFiniteState) as error:
            under(solver, -80.0)
        said = str(error.value)
        assert "the synapses of 'to0' pull at cell[0] with 82.6 per ms" in said
        assert f"that is 8.26, and this explicit method is stable up to {reach}" in said
        assert "Try: dt <= 0.01 ms, or sf.ExponentialEuler(): at t = 2.1 ms cell.v had" in said


def test_what_an_explicit_method_can_follow_it_does() -> None:
    source = spikes(1)
    cell = sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    ends = []
    for dt in (0.1, 0.01):
        projection = sf.Projection(source, cell, EXPONENTIAL(E=-80 * mV), weight=5 * uS)
        run = ran(sf.Network(source, cell, projection), cell, sf.RK4(), dt=dt)
        ends.append(run["cell.v"].values[-1, 0])
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def gap(weight: float, solver: Any, dt: float = DT) -> np.ndarray:
    cell = sf.Population("cell", 2, sf.Equations.parse(CELL, **NUMBERS))
    joined = sf.Projection(
        cell, cell, sf.load("gap_junction"), sf.AllToAll(self_connections=False), weight=weight * uS
    )
    initial = {"cell": {"v": [-70.0, -50.0] * mV}}
    return ran(sf.Network(cell, joined), cell, solver, dt=dt, initial=initial)["cell.v"].values


EVERY = [sf.Euler(), sf.RK4(), *STIFF]


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: solver.name)
def test_gap_junctions_too_strong_for_the_step_are_refused(solver: Any) -> None:
    with pytest.raises(NetworkError, match=r"'cell_to_cell' pull at cell 0 of 'cell' with 50 per"):
        gap(10.0, solver)


def test_gap_junctions_of_10_uS_come_out_right_at_the_step_that_is_advised() -> None:
    with pytest.raises(NetworkError, match=r"take dt <= 0\.027 ms"):
        gap(10.0, sf.RK4())
    v = gap(10.0, sf.RK4(), 0.02)
    assert v[-1] == pytest.approx([-60, -60], abs=1e-9)
    # The difference falls at twice the rate of one junction, and with the leak.
    rate = (2 * 10 + G_LEAK) / C
    z = rate * 0.02
    wanted = 20 * (1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24)  # what RK4 makes of exp(-z)
    assert v[1, 1] - v[1, 0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.slow
def test_weak_gap_junctions_run_with_every_method() -> None:
    for solver in EVERY:
        v = gap(0.02, solver)
        rate = (2 * 0.02 + G_LEAK) / C
        assert v[-1, 1] - v[-1, 0] == pytest.approx(20 * np.exp(-6 * rate), rel=0.03)


CURRENT = "dv/dt = I_stim/C : mV\nI_stim : nA"


def charges(synapses: list[Any], at: float, dt: float, solver: Any) -> np.ndarray:
    """The charge in nA ms that each synapse of 1 nA brings in all, to a cell of its own."""
    source = sf.Population("source", 1, sf.SpikeSourceArray([at] * ms))
    cells = sf.Population("cell", len(synapses), sf.Equations.parse(CURRENT, C=1 * nF, v=0))
    projections = [
        sf.Projection(source, cells[k : k + 1], synapse, weight=1 * nA, name=f"p{k}")
        for k, synapse in enumerate(synapses)
    ]
    run = ran(sf.Network(source, cells, *projections), cells, solver, dt=dt, length=80.0)
    return run["cell.v"].values[-1]


@pytest.mark.slow
@pytest.mark.parametrize("at", [3.03, 3.97])
@pytest.mark.parametrize("solver", [sf.RK4(), sf.ExponentialEuler()], ids=lambda s: s.name)
def test_the_charge_of_a_current_shorter_than_the_step_is_exact(at: float, solver: Any) -> None:
    exponential, alpha = sf.load("exponential_current"), sf.load("alpha_current")
    synapses = [exponential(tau=0.02 * ms), alpha(tau=0.02 * ms), alpha(tau=0.7 * ms)]
    found = charges(synapses, at, 1.0, solver)
    np.testing.assert_allclose(found, [0.02, 0.02 * np.e, 0.7 * np.e], rtol=1e-9)


@pytest.mark.slow
def test_double_exponentials_have_a_limit_at_equal_time_constants() -> None:
    """Of peak 1 they have the charge exp(q)*tau_decay, q = log(r)/(r - 1); e*tau at r = 1."""
    above = np.array([0.0, 1e-12, -1e-9, 1e-6, -1e-4, 0.3])
    load = sf.load("double_exponential_current")
    synapses = [load(tau_rise=2 * ms, tau_decay=2 * (1 + x) * ms) for x in above]
    u = np.log1p(above)
    q = np.divide(u, np.expm1(u), where=u != 0, out=np.ones_like(u))
    found = charges(synapses, 3.03, 0.05, sf.RK4())
    np.testing.assert_allclose(found, np.exp(q) * 2 * (1 + above), rtol=1e-9)


def test_a_number_that_is_0_by_0_is_refused_where_it_is_made() -> None:
    text = (
        "I = -(A - B) : nA\ndA/dt = -A/t1 : nA\ndB/dt = -B/t2 : nA\n"
        "peak = t1*t2/(t1 - t2)*log(t1/t2) : ms\nf = 1/(exp(-peak/t1) - exp(-peak/t2)) : 1\n"
        "on spike: A += f*w; B += f*w"
    )
    equal = sf.Equations.parse(text, t1=5 * ms, t2=5 * ms, w=1 * nA, A=0, B=0)
    source, cell = spikes(1), sf.Population("cell", 1, sf.Equations.parse(CELL, **NUMBERS))
    good = sf.Projection(source, cell, sf.load("exponential_current"), weight=1 * nA, name="good")
    bad = sf.Projection(source, cell, equal, weight=1 * nA, name="bad")
    with pytest.raises(NetworkError, match=r"'bad': peak .* is nan with t1 = 5 ms and t2 = 5 ms"):
        ran(sf.Network(source, cell, good, bad), cell)


@pytest.mark.slow
def test_what_the_input_does_to_a_cell_may_depend_on_the_time() -> None:
    """An explicit method looks at the pull of synapses, which is then one of the time too."""
    model = sf.Equations.parse(
        "dv/dt = (-60*mV - v)/(10*ms) + gain*I_stim/(0.2*nF) : mV\n"
        "gain = 1 + 0.5*sin(t/ms) : 1\nI_stim : nA",
        v=-60 * mV,
    )
    cells = sf.Population("cells", 1, model)
    source = sf.Population("source", 1, sf.SpikeSourceArray([1.03] * ms))
    synapse = sf.load("exponential_conductance")
    for dtype in ("float64", "float32"):
        network = sf.Network(cells, source, sf.Projection(source, cells, synapse, weight=1 * nS))
        run = sf.simulate(network, 3 * ms, dt=0.1 * ms, record=cells["v"], dtype=dtype)
        assert run["cells.v"].values[-1, 0] > -59.9
