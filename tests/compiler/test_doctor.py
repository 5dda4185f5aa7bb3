"""What is said of a run that did not stay finite: where, which term, and what to try."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler.diagnosis import doctor
from somaflow.compiler.diagnosis.terms import CellEquations, measure, origin, summands
from somaflow.equations.expression import parse, render
from somaflow.errors import NonFiniteState
from somaflow.simulation.replay import Failure
from somaflow.units import cm, kHz, mS, ms, mV, nA, uA, uS


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Faults of the doctor, which a run hides from its user; a test that expects one takes it."""
    found: list[Exception] = []
    examine = doctor.Doctor.__call__

    def watched(self: doctor.Doctor, failure: Failure) -> str:
        try:
            return examine(self, failure)
        except Exception as error:
            found.append(error)
            raise

    monkeypatch.setattr(doctor.Doctor, "__call__", watched)
    yield found
    assert not found


def message(network: sf.Network, duration: Any, **settings: Any) -> str:
    with pytest.raises(NonFiniteState) as caught:
        sf.simulate(network, duration, **settings)
    text = str(caught.value)
    assert len(text.splitlines()) <= 12
    return text


def alone(text: str, size: int = 1, **values: Any) -> sf.Network:
    return sf.Network(sf.Population("p", size, sf.Equations.parse(text, **values)))


def hodgkin_huxley() -> sf.Network:
    cells = sf.Population("cells", 4, sf.load("hodgkin_huxley_1952"))
    return sf.Network(cells, sf.CurrentClamp(cells, np.linspace(0, 20, 4) * uA / cm**2))


# ---------------------------------------------------------------- dt too large


@pytest.mark.parametrize("solver", [sf.Euler(), sf.RK4()], ids=lambda s: s.name)
def test_a_step_that_is_too_large_is_told_and_the_one_that_is_named_does(solver: Any) -> None:
    text = message(hodgkin_huxley(), 20 * ms, dt=0.2 * ms, solver=solver)
    assert re.match(r"cells\.[vmhn]\[\d\] is \S+ at t = \S+ ms \(one step before it was ", text)
    assert re.search(r"Last finite values: v = \S+ mV, m = \S+, h = \S+, n = \S+\.\n", text)
    assert "dt = 0.2 ms is too large" in text
    found = re.search(r"Try: dt <= (\S+) ms, or sf\.ExponentialEuler\(\)", text)
    assert found is not None
    assert 0.001 <= float(found[1]) < 0.2
    sf.simulate(hodgkin_huxley(), 20 * ms, dt=float(found[1]) * ms, solver=solver)


def test_the_time_constant_is_that_of_the_state() -> None:
    """dv/dt = -v/tau under Euler: v grows by 1 - dt/tau = -9 in each step."""
    net = alone("dv/dt = -v/tau : mV", 3, tau=[10, 0.01, 10] * ms, v=1)
    text = message(net, 40 * ms, dt=0.1 * ms, solver=sf.Euler())
    assert text.startswith("p.v[1] is ")
    assert "had a time constant of 0.01 ms" in text
    assert "Try: dt <= 0.01 ms" in text


def fast_gates(lobe: sf.Network, **settings: Any) -> sf.Network:
    """Gates of LN that change in 0.5 us and drive PN, unless their weight is 0."""
    pn, ln = lobe.populations
    synapse = sf.load("gaba_a")(alpha=2000 * kHz)
    made = sf.Projection(ln, pn, synapse, name="fast", **settings)
    return sf.Network(pn, ln, made, sf.CurrentClamp(ln, 5 * uA / cm**2))


def test_gates_that_are_too_fast_are_found_behind_the_cell_they_drive(lobe: sf.Network) -> None:
    text = message(fast_gates(lobe), 100 * ms, dt=0.01 * ms, solver=sf.Euler())
    assert re.match(r"the run was ended at t = \S+ ms: the synapses of 'fast' pull at PN\[", text)
    assert re.search(r"LN\.\S+ of LN \(fast\) had a time constant of 0\.00\d+ ms", text)


def test_a_gate_of_synapses_is_called_what_it_is(lobe: sf.Network) -> None:
    net = fast_gates(lobe, weight=0 * mS / cm**2)
    text = message(net, 100 * ms, dt=0.01 * ms, solver=sf.Euler())
    assert text.startswith("LN.gaba_a of LN (fast)[")
    assert "It is o of the synapses of 'fast', which a presynaptic cell has once." in text
    assert "in do/dt, " in text
    assert re.search(r"Last finite values: v = \S+ mV, ca\.m = ", text)


# ------------------------------------------------------------------------ poles


def test_a_denominator_that_is_0_is_named() -> None:
    text = message(
        alone("dv/dt = 1*mV/ms + k/(v + 65*mV) : mV", v=-65, k=2 * mV**2 / ms), 1 * ms, dt=0.1 * ms
    )
    first, values, term, advice = text.splitlines()
    assert first == "p.v[0] is inf at t = 0.1 ms (one step before it was -65 mV)."
    assert values == "  Last finite values: v = -65 mV."
    assert term == (
        "  The term: in dv/dt, k / (v + 65 * mV) is inf, with k = 2 mV**2/ms, v + 65 * mV = 0 mV."
    )
    assert advice.startswith("  Try: keep v + 65 * mV away from 0")


def test_0_by_0_leads_to_exprel_and_names_the_definition() -> None:
    net = alone(
        "rate = x/(exp(x) - 1)/ms : 1/ms\nx = (v + 65*mV)/(10*mV) : 1\n"
        "dv/dt = 1*mV/ms + rate*mV/1000 : mV",
        3,
        v=[-70, -65, -60],
    )
    text = message(net, 1 * ms, dt=0.5 * ms)
    assert text.startswith("p.v[1] is nan at t = 0.5 ms")
    assert "in rate, x / (exp(x) - 1) is nan, with x = 0, exp(x) - 1 = 0." in text
    assert "as 1/exprel(x)" in text
    assert "dt" not in text.splitlines()[-1]


def test_a_parameter_of_0_below_a_fraction() -> None:
    text = message(alone("dv/dt = -v/tau : mV", 2, tau=[1, 0] * ms, v=1), 1 * ms, dt=0.1 * ms)
    assert text.startswith("p.v[1] is ")
    assert "-v / tau is -inf, with -v = -1 mV, tau = 0 ms." in text


def test_the_root_of_a_negative_number() -> None:
    text = message(alone("dx/dt = -1/ms - 0*sqrt(x)/ms : 1", x=0.25), 1 * ms, dt=0.1 * ms)
    assert re.search(r"sqrt\(x\) is nan, with x = -\S+ \(within the step\)", text)
    assert "Try: keep x above 0" in text


def test_a_branch_that_is_not_taken_is_not_blamed() -> None:
    net = alone("dx/dt = where(x > 0, 1/(x - x), 1/x)*1e3/ms : 1", x=1)
    assert "in dx/dt, 1 / (x - x) is inf, with x - x = 0." in message(net, 1 * ms, dt=0.1 * ms)


# ------------------------------------------------------------ overflow, run away


def test_exp_overflows_where_nothing_resets() -> None:
    net = alone("dv/dt = (E + D*exp(v/D))/tau : mV", E=1 * mV, D=2 * mV, tau=1 * ms, v=0)
    text = message(net, 10 * ms, dt=0.1 * ms)
    assert re.search(
        r"in dv/dt, exp\(v / D\) is inf, with v / D = \S+ \(within the step, at v", text
    )
    assert re.search(r"dv/dt grows with v itself there .*threshold and a reset missing\?", text)
    assert "exp overflows above 709.8" in text


def test_a_cell_outruns_its_threshold_within_a_step() -> None:
    """The exponential integrate-and-fire cell, with a threshold far up its exponential."""
    equations = sf.Equations.parse(
        "dv/dt = (E - v + D*exp((v - T)/D))/tau : mV",
        E=-40 * mV, D=1 * mV, T=-50 * mV, tau=10 * ms, v=-65 * mV,
    )  # fmt: skip
    cells = sf.Population("p", 1, equations, threshold="v > 20*mV", reset="v = -65*mV")
    text = message(sf.Network(cells), 100 * ms, dt=0.5 * ms)
    assert "exp((v - T) / D) is inf" in text
    assert "it ran away within one step, before the threshold was seen at its end" in text
    assert "missing" not in text


def test_the_threshold_is_not_blamed_for_a_state_that_is_not_reset() -> None:
    equations = sf.Equations.parse(
        """
        dv/dt = (E - v)/tau : mV
        dw/dt = w/tau : mV
        """,
        E=-65 * mV, tau=0.5 * ms, v=-65 * mV, w=1 * mV,
    )  # fmt: skip
    cells = sf.Population("p", 1, equations, threshold="v > 20*mV", reset="v = -65*mV")
    text = message(sf.Network(cells), 1000 * ms, dt=0.1 * ms)
    assert "dw/dt grows with w itself" in text
    assert "Is a sign wrong" in text
    assert "within one step" not in text


def test_exp_of_time() -> None:
    net = alone("dv/dt = -v/ms + mV/ms*exp(t/tau) : mV", tau=0.1 * ms, v=0)
    text = message(net, 100 * ms, dt=0.1 * ms)
    assert re.search(r"exp\(t / tau\) is inf, with t / tau = 7(09\.8|10)", text)


def test_float32_ends_before_float64() -> None:
    text = "dv/dt = -v*big*small/ms : mV"
    values = {"big": 1e30, "small": 1e-30, "v": 1e10}
    told = message(alone(text, **values), 1 * ms, dt=0.1 * ms, dtype="float32")
    assert "-v * big is -inf, with -v = -1e+10 mV, big = 1e+30." in told
    assert 'Try: dtype="float64"' in told
    sf.simulate(alone(text, **values), 1 * ms, dt=0.1 * ms)


def test_no_float64_where_it_would_not_help() -> None:
    net = alone("dv/dt = 1*mV/ms + k/(v + 65*mV) : mV", v=-65, k=2 * mV**2 / ms)
    assert "float64" not in message(net, 1 * ms, dt=0.1 * ms, dtype="float32")


def test_a_sum_that_overflows_names_its_largest_term() -> None:
    net = alone("dv/dt = a + 3*a/2 - b : mV", a=1e307 * mV / ms, b=1e300 * mV / ms, v=0)
    text = message(net, 20 * ms, dt=1 * ms)
    assert text.startswith("p.v[0] is inf at t = 8 ms (one step before it was 1.75e+308 mV).")
    assert "The largest term of dv/dt there: 3 * a / 2 = 1.5e+307 mV/ms." in text


# ------------------------------------------------------------------ what drives


def driven(synapse: Any, weight: Any) -> sf.Network:
    lif = sf.Population("a", 3, sf.load("lif"))
    source = sf.Population("s", 2, sf.SpikeSourceArray([5, 5.5] * ms, cells=[0, 0]))
    heavy = sf.Projection(source, lif, synapse, weight=weight, name="heavy")
    light = sf.Projection(source, lif, sf.load("exponential_current"), weight=0.1 * nA)
    return sf.Network(lif, source, light, heavy)


def test_a_heavy_synapse_is_named() -> None:
    """The spike source before it has no block of states.

    The cell is lifted over its threshold in the step of arrival, and is refractory from 5.2 ms on.
    """
    text = message(driven(sf.load("exponential_conductance"), 1e6 * uS), 20 * ms, dt=0.1 * ms)
    assert text.startswith("the run was ended at t = 7.2 ms: the synapses of 'heavy' pull at a[0] ")
    assert "Most of I_stim comes from the projection 'heavy': " in text
    assert re.search(r"a\.v had a time constant of [\d.]+e-06 ms, far below dt = 0\.1 ms", text)


def test_a_heavy_stimulus_is_named() -> None:
    lif = sf.Population("a", 3, sf.load("lif"))
    clamp = sf.CurrentClamp(lif, [1, 1e308, 1] * nA, start=0.5 * ms)
    text = message(sf.Network(lif, clamp), 1 * ms, dt=0.1 * ms)
    assert text.startswith("a.v[1] is ")
    assert "Most of I_stim comes from the stimulus sf.Step: 1e+308 nA." in text
    assert "Try: is 1e+308 nA from the stimulus sf.Step meant?" in text


def test_the_state_of_synapses_alone() -> None:
    synapse = sf.Equations.parse(
        "I = -J : nA\ndJ/dt = -J/tau : nA\ndx/dt = -x/tau : 1\nw = 1*nA : nA\n"
        "on spike: J += w; x += 1e308",
        tau=500 * ms,
        J=0,
        x=0,
    )
    lif = sf.Population("a", 3, sf.load("lif"))
    source = sf.Population("s", 1, sf.SpikeSourceArray([0.3, 0.5, 0.7] * ms))
    net = sf.Network(lif, source, sf.Projection(source, lif, synapse, name="odd"))
    text = message(net, 2 * ms, dt=0.1 * ms)
    assert text.startswith("the state of the synapses of 'odd' is inf at t = 0.6 ms.")


def test_noise_and_delays_are_no_obstacle() -> None:
    model = sf.Equations.parse(
        "dv/dt = I_stim/C + v**2/mV/ms : mV\nI_stim : nA", C=1 * nA * ms / mV, v=0
    )
    cells = sf.Population("q", 3, model)
    poisson = sf.Population("poisson", 3, sf.SpikeSourcePoisson(rate=0.4 * kHz))
    delay = sf.Uniform(0.5 * ms, 3 * ms, seed=6)
    synapse = sf.load("exponential_current")
    net = sf.Network(
        cells,
        poisson,
        sf.Projection(poisson, cells, synapse, weight=1 * nA, delay=delay),
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(mean=1 * nA, sd=0.4 * nA, tau=5 * ms)),
    )
    text = message(net, 20 * ms, dt=0.1 * ms)
    assert "v**2 is inf, with v = " in text
    assert "dv/dt grows with v itself there" in text


# ------------------------------------------------------------------------ batch


def test_a_batch_tells_problem_and_cell() -> None:
    rate = np.array([[0, -1, 0, 3], [100, 1, 2, 1]]) * kHz
    net = alone("dv/dt = rate*v : mV\ndw/dt = -w/ms : mV", 4, rate=rate, v=1, w=[[1], [2]] * mV)
    text = message(net, 40 * ms, dt=0.1 * ms, solver=sf.Euler())
    # As a cell alone: v = 11**k, and its slope leaves float64 in step 296.
    assert text.startswith("p.v[1, 0] is inf at t = 29.6 ms (one step before it was 1.62")
    assert "rate * v is inf, with rate = 100 kHz, v = 1.62" in text
    assert "(by 100/ms)" in text


# --------------------------------------------------------------------- fallback


def test_a_fault_of_the_doctor_leaves_the_plain_sentence(
    monkeypatch: pytest.MonkeyPatch, faults: list[Exception]
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("oops")

    monkeypatch.setattr(doctor, "rows_of", fail)
    net = alone("dv/dt = -v/tau : mV", 2, tau=[1, 0] * ms, v=1)
    text = message(net, 1 * ms, dt=0.1 * ms, solver=sf.Euler())
    assert text == (
        "p.v[1] is -inf at t = 0.1 ms (one step before it was 1). Is dt = 0.1 ms too large?"
    )
    assert str(faults.pop()) == "oops"


def test_the_replay_goes_back_to_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Failure] = []

    def keep(_: Any, failure: Failure) -> str:
        held.append(failure)
        return "told"

    monkeypatch.setattr(doctor.Doctor, "__call__", keep)
    net = alone("dv/dt = rate*v : mV", rate=100 * kHz, v=1)
    assert message(net, 40 * ms, dt=0.1 * ms, solver=sf.Euler()) == "told"
    failure = held[0]
    assert (failure.step, failure.reach, failure.dt) == (295, 295, 0.1)

    def v(carry: Any) -> float:
        return float(carry.flow[0][0, 0])

    assert not np.isfinite(v(failure.after))
    assert v(failure.before) == pytest.approx(11.0**295, rel=1e-10)
    for back in (64, 8, 1, 200, 0, 295):
        assert v(failure.earlier(back)) == pytest.approx(11.0 ** (295 - back), rel=1e-10)


# ------------------------------------------------------------------------ terms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(a - b/c + d)/e", ["a / e", "-(b / c) / e", "d / e"]),
        ("-(a - b)", ["-a", "--b"]),
        ("a*(b + c)", ["a * b", "a * c"]),
        ("a*b", ["a * b"]),
        ("a/(b + c)", ["a / (b + c)"]),
    ],
)
def test_the_summands_of_an_expression(text: str, wanted: list[str]) -> None:
    values = dict.fromkeys("abcde", 2.0)
    equations = sf.Equations.parse("dy/dt = a : 1", a=1, y=0)
    cell = CellEquations(equations, values, np.float64)
    found = summands(cell, parse(text))
    assert [render(term.node) for term in found] == wanted
    total = cell.term(parse(text)).value
    assert sum(float(term.value) for term in found) == pytest.approx(float(total))


def test_the_origin_is_the_innermost() -> None:
    equations = sf.Equations.parse("r = 1/s : 1\ns = x - x : 1\ndx/dt = r*0 : 1", x=1)
    cell = CellEquations(equations, {"x": 1.0}, np.float64)
    with np.errstate(all="ignore"):
        term, inside = origin(cell.derivative("x"))
    assert (render(term.node), inside) == ("1 / s", "r")


def test_a_number_beyond_float64_in_a_small_unit_is_written_out() -> None:
    assert measure(1e306, "nA") == "1.00000e+309 nA"
    assert measure(2.5, "mV") == "2.5 mV"


def test_of_groups_that_are_computed_as_one_the_right_one_is_named() -> None:
    """The weight of q1 is finite and too large; q0 of another population is joined with it."""
    pre = [sf.Population(name, 2, sf.SpikeSourceArray([2.05] * ms, cells=[0])) for name in "ab"]
    post = sf.Population("c", 4, sf.load("lif"))
    synapse = sf.load("exponential_current")
    projections = [
        sf.Projection(p, post, synapse, sf.AllToAll(), weight=weight * nA, name=f"q{k}")
        for k, (p, weight) in enumerate(zip(pre, (0.1, 1.7e308), strict=True))
    ]
    twice = sf.Projection(pre[1], post, synapse, sf.AllToAll(), weight=1.7e308 * nA, name="q2")
    network = sf.Network(*pre, post, *projections, twice)
    with pytest.raises(NonFiniteState) as caught:
        sf.simulate(network, 5 * ms, dt=0.1 * ms, solver=sf.ExponentialEuler())
    assert "'q0'" not in str(caught.value)
