"""What equations may say, beside NumPy: words of papers and of other simulators."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.equations.affine import not_affine
from somaflow.errors import MissingValueError, UnitError
from somaflow.units import ms, mV

X = np.array([-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 3.75])

WORDS: dict[str, tuple[str, Any]] = {
    "pi": ("pi*x", lambda x: np.pi * x),
    "sign": ("sign(x)", np.sign),
    "arctan": ("arctan(x)", np.arctan),
    "arctan2": ("arctan2(x, 1 - x)", lambda x: np.arctan2(x, 1 - x)),
    "sinh": ("sinh(x)", np.sinh),
    "cosh": ("cosh(x)", np.cosh),
    "log10": ("log10(x + 3)", lambda x: np.log10(x + 3)),
    "log1p": ("log1p(x/4)", lambda x: np.log1p(x / 4)),
    "expm1": ("expm1(x)", np.expm1),
    "clip": ("clip(x, -1, 0.75)", lambda x: np.clip(x, -1, 0.75)),
    "floor": ("floor(x)", np.floor),
    "ceil": ("ceil(x)", np.ceil),
    "remainder": ("x % 0.75", lambda x: x % 0.75),
    "remainder of a product": ("2*x % 0.75", lambda x: 2 * x % 0.75),
    "int": ("int(x > 0)", lambda x: (x > 0).astype(float)),
    "int of several": (
        "int(x > -1 and not x >= 1 or x > 3)",
        lambda x: ((x > -1) & ~(x >= 1) | (x > 3)).astype(float),
    ),
    "if and else": ("x if x > 0 else -2*x", lambda x: np.where(x > 0, x, -2 * x)),
    "a chain of them": (
        "1 if x < -1 else 2 if x < 0.5 else 3",
        lambda x: np.where(x < -1, 1, np.where(x < 0.5, 2, 3)),
    ),
    "an angle on a circle": ("(x + pi) % (2*pi) - pi", lambda x: (x + np.pi) % (2 * np.pi) - np.pi),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_words_mean_what_numpy_means(dtype: Any) -> None:
    """Derivatives of states that begin at 0, after one Euler step of 1 ms."""
    names = [f"y{k}" for k in range(len(WORDS))]
    lines = [
        f"d{y}/dt = ({text})/ms : 1" for y, (text, _) in zip(names, WORDS.values(), strict=True)
    ]
    equations = sf.Equations.parse("\n".join(lines), x=X, **dict.fromkeys(names, 0))
    cells = sf.Population("cells", len(X), equations)
    run = sf.simulate(sf.Network(cells), 1 * ms, dt=1 * ms, solver=sf.Euler(), dtype=dtype)
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    for y, (text, meant) in zip(names, WORDS.values(), strict=True):
        found = run.final.states["cells"][y]
        assert np.allclose(found, meant(X), rtol=tolerance, atol=tolerance), text


def test_words_have_initial_values_alike() -> None:
    for text, meant in WORDS.values():
        equations = sf.Equations.parse("dy/dt = -y/ms : 1", x=X, y=text)
        assert np.allclose(equations.initial_values({}, "here")["y"], meant(X), rtol=1e-14), text


def test_time_in_a_remainder_keeps_its_digits_in_float32() -> None:
    """A train of pulses every 7 ms, after 1e6 ms: its place is that of float64."""
    equations = sf.Equations.parse("dy/dt = int(t % T < 1*ms)/ms : 1", T=7 * ms, y=0)
    cells = sf.Population("cells", 1, equations)
    found = {}
    for dtype in ("float64", "float32"):
        cell = sf.simulate(sf.Network(cells), 700 * ms, dt=0.1 * ms, solver=sf.Euler(), dtype=dtype)
        found[dtype] = cell.final.states["cells"]["y"][0]
    assert found["float64"] == pytest.approx(100.0, abs=1e-9)
    assert found["float32"] == pytest.approx(found["float64"], abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["sinh(v)", "floor(v)", "clip(v, 0, 1)", "arctan2(v, 1)", "v % 2", "v if v > 0*mV else 1"],
)
def test_units_are_checked(text: str) -> None:
    with pytest.raises(UnitError):
        sf.Equations.parse(f"dv/dt = -v/ms : mV\nx = {text} : mV", v=0 * mV)


def test_words_without_a_unit_take_what_has_one() -> None:
    made = sf.Equations.parse(
        "dv/dt = -v/ms : mV\nx = sign(v) + arctan2(v, 2*v) : 1\ny = v % (2*mV) : mV", v=0 * mV
    )
    assert list(made.definitions) == ["x", "y"]


def test_a_function_is_traced_to_the_same_words() -> None:
    def slopes(t: Any, y: Any, p: Any) -> Any:
        m = sf.math
        x = m.sign(y["x"]) + m.arctan2(y["x"], 2.0) + m.clip(y["x"], -1.0, 1.0) + y["x"] % 0.75
        return {"x": (x + m.floor(y["x"]) + 3 % (y["x"] + 2)) / p["tau"]}

    text = "(sign(x) + arctan2(x, 2) + clip(x, -1, 1) + x % 0.75 + floor(x) + 3 % (x + 2))/tau"
    one = sf.Equations.from_function(slopes, initial={"x": 0.3}, tau=1 * ms)
    other = sf.Equations.parse(f"dx/dt = {text} : 1", x=0.3, tau=1 * ms)
    assert one == other


def test_exponential_euler_takes_words_apart() -> None:
    """A state in a sign is not affine, which is said, and runs all the same."""
    equations = sf.Equations.parse("dx/dt = (sign(x) - x)/tau : 1", x=[0.5, -0.5, 0], tau=5 * ms)
    cells = sf.Population("cells", 3, equations)
    solver = sf.ExponentialEuler()
    run = sf.simulate(sf.Network(cells), 100 * ms, dt=0.1 * ms, solver=solver)
    assert np.allclose(run.final.states["cells"]["x"], [1, -1, 0], atol=1e-6)
    assert "not affine in x, because of sign(x)" in not_affine(equations)["x"]


def test_time_stands_in_thresholds_and_resets() -> None:
    equations = sf.Equations.parse("dv/dt = 1/ms : 1\ndlast/dt = 0 : ms", v=0, last=0 * ms)
    cells = sf.Population(
        "cells", 1, equations, threshold="v > 1 and t > 5*ms", reset="v = 0; last = t"
    )
    run = sf.simulate(sf.Network(cells), 10 * ms, dt=0.1 * ms, record=cells.spikes)
    times = run["cells.spikes"].times
    assert times[0] == pytest.approx(5.0, abs=0.11)
    assert run.final.states["cells"]["last"][0] == pytest.approx(times[-1], abs=0.11)


def test_the_number_of_a_cell_and_chance_stand_in_initial_values() -> None:
    equations = sf.Equations.parse(
        "dv/dt = -v/ms : mV\ndu/dt = -u/ms : mV\ndw/dt = -w/ms : 1",
        v="-70*mV + 5*mV*rand() + 2*mV*rand()",
        u="v + i*mV",
        w="rand()",
    )
    cells = sf.Population("cells", 2000, equations)
    start = started(sf.Network(cells, seed=1))
    assert np.allclose(start["u"] - start["v"], np.arange(2000))
    assert -70 <= start["v"].min() < -69.5 and -63.5 < start["v"].max() <= -63
    assert start["v"].mean() == pytest.approx(-66.5, abs=0.15)
    assert abs(np.corrcoef(start["v"], start["w"])[0, 1]) < 0.1
    assert np.array_equal(start["w"], started(sf.Network(cells, seed=1))["w"])
    assert not np.array_equal(start["w"], started(sf.Network(cells, seed=2))["w"])


def started(network: sf.Network) -> dict[str, np.ndarray]:
    cells = network.populations[0]
    record = [cells[state] for state in cells.equations.states]
    run = sf.simulate(network, 0.1 * ms, dt=0.1 * ms, record=record)
    return {state: run[f"cells.{state}"].values[0] for state in cells.equations.states}


def test_a_variable_of_the_name_i_is_itself() -> None:
    equations = sf.Equations.parse("di/dt = -i/ms : mV\ndv/dt = -v/ms : mV", i=3 * mV, v="2*i")
    start = started(sf.Network(sf.Population("cells", 4, equations)))
    assert np.array_equal(start["v"], [6.0] * 4)


def test_cells_are_needed_where_a_cell_is_meant() -> None:
    for text in ("rand()", "i"):
        equations = sf.Equations.parse("dx/dt = -x/ms : 1", x=text)
        with pytest.raises(MissingValueError, match="for the cells of a sf"):
            sf.solve(equations, t1=1 * ms, dt=0.1 * ms)


def test_the_number_of_a_cell_stands_in_thresholds_and_resets() -> None:
    equations = sf.Equations.parse("dv/dt = 1/ms : 1", v=0)
    cells = sf.Population(
        "cells", 20, equations, threshold="v > 1 + i", reset="v = -100*i - 0.5 + rand()"
    )
    run = sf.simulate(sf.Network(cells), 25 * ms, dt=0.1 * ms, record=cells.spikes)
    spikes = run["cells.spikes"]
    found = {int(cell): time for cell, time in zip(spikes.cells, spikes.times, strict=True)}
    assert sorted(found) == list(range(20))
    assert np.allclose([found[k] for k in range(1, 20)], np.arange(2, 21), atol=1e-6)
    left = run.final.states["cells"]["v"]
    passed = 25 - np.ceil(np.arange(2, 21) / 0.1 - 1e-6) * 0.1
    drawn = left[1:] + 100 * np.arange(1, 20) + 0.5 - passed
    assert ((drawn > -0.11) & (drawn < 1.11)).all() and drawn.std() > 0.1
