"""Every argument of the public surface, in turn replaced by nonsense of every kind.

The answer is a result, where the value means something, or a SomaflowError; never another error.
"""

import inspect
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import xarray as xr
from nonsense import CASES, CELLS, LEAK, NETWORK, VALUES, Case

import somaflow as sf
from somaflow.errors import SomaflowError
from somaflow.units import ms, mV

ODE = sf.Equations.parse("dv/dt = (E - v)/tau : mV", E=1 * mV, tau=1 * ms, v=0)
PAIRS = sf.SpikeTrains(np.zeros(1), np.zeros((1, 2), int), 3, 1.0, None, (2,))
NOISY = np.random.default_rng(1).normal(size=100)
RUN: dict[str, Any] = {"dt": 0.1 * ms, "progress": False}
MATH = ("exp", "expm1", "exprel", "log", "sin", "cos", "tanh", "sigmoid", "sqrt", "absolute")
# What a run returns: nobody makes it by hand.
RESULTS = {
    "Check",
    "FinalState",
    "Moment",
    "Occurrences",
    "Plan",
    "Progress",
    "Solution",
    "SweepProgress",
}
RESULTS |= {"SpikeTrains"}


def decay(t: Any, y: Any, a: Any = 1.0) -> Any:
    return {"x": -a * y["x"]}


def solve(**arguments: Any) -> Any:
    return sf.solve(**{"f": decay, "y0": {"x": 1.0}, "t1": 1.0} | arguments)


def hashable(value: Any) -> bool:
    try:
        return hash(value) is not None
    except Exception:
        return False


def by_key(key: Any) -> Any:
    return sf.simulate(NETWORK, 1 * ms, **RUN, initial={"cells": {key: -55}})


def by_name(name: Any) -> Any:
    return sf.simulate(NETWORK, 1 * ms, **RUN, initial={name: {"v": -55}})


class Here(Executor):
    """Computes in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def sweep(**arguments: Any) -> Any:
    return sf.sweep(**arguments, pool=Here())


COMPILED = {
    "sweep": Case(
        sweep,
        model=NETWORK, vary={"cells.tau": [10, 20] * ms}, duration=1 * ms, dt=0.1 * ms,
        solver=sf.RK4(), dtype="float64", seed=0, trials=None, record=[CELLS["v"]],
        initial={"cells": {"v": -55}}, reduce=None, batch=None, sink=None, progress=False,
    ),
    "sweep of a value": Case(
        lambda v: sweep(model=NETWORK, vary=[{"seed": v}], duration=1 * ms, progress=False), v=1
    ),
    "sweep in a pool": Case(  # an address is refused once the pool was taken
        lambda v: sf.sweep(NETWORK, {"seed": [1]}, 1 * ms, pool=v, sink="s3://a/b.zarr"), v=1
    ),
    "resume_sweep": Case(sf.resume_sweep, path="none.zarr", pool=1, progress=False),
    "simulate": Case(
        sf.simulate,
        network=NETWORK, duration=1 * ms, dt=0.1 * ms, solver=sf.RK4(), dtype="float64", seed=0,
        record=[CELLS["v"]], initial={"cells": {"v": -55}}, sink=None, checkpoint=None,
        between=None, progress=False,
    ),
    "simulate with checkpoints": Case(
        sf.simulate, network=NETWORK, duration=1 * ms, dt=0.1 * ms, sink="c.zarr",
        checkpoint=0.5 * ms, progress=False,
    ),
    "simulate from a value": Case(
        lambda v: sf.simulate(NETWORK, 1 * ms, **RUN, initial={"cells": {"v": v}}), v=1
    ),
    "simulate from a state": Case(by_key, key="v"),
    "simulate from a population": Case(by_name, name="cells"),
    "plan": Case(
        sf.plan,
        network=NETWORK, duration=1 * ms, dt=0.1 * ms, solver=sf.RK4(), dtype="float64", seed=0,
        record=[CELLS["v"]], initial={"cells": {"v": -55}}, sink=None, checkpoint=None,
    ),
    "solve": Case(
        sf.solve,
        f=decay, y0={"x": 1.0}, t1=1.0, t0=0.0, dt=0.1, every=0.1, args=2.0, solver=sf.RK4(),
        seed=0, dtype="float64", batch=0,
    ),
    "solve by tolerances": Case(
        solve,
        y0={"x": 1.0}, t1=1.0, t0=0.0, rtol=1e-6, atol=1e-6, at=[0.5, 1.0], solver=sf.Tsitouras(),
        events={"e": sf.Event(lambda t, y: y["x"] - 0.5)}, jumps=[0.3], max_step=0.1,
        first_step=0.01, max_steps=1000,
    ),
    "solve with noise": Case(
        solve, y0={"x": 1.0}, t1=1.0, dt=0.1, solver=sf.EulerMaruyama(),
        noise=lambda t, y: {"x": 0.1},
    ),
    "solve equations": Case(
        sf.solve, f=ODE, y0={"v": -60}, t1=1 * ms, dt=0.1 * ms, args={"E": 1.0}
    ),
    "solve with an event": Case(
        lambda condition, change: solve(events={"e": sf.Event(condition, change)}),
        condition=lambda t, y: y["x"], change=lambda t, y: y,
    ),
    "what f returns": Case(lambda v: solve(f=lambda t, y: v, dt=0.1), v={"x": 1.0}),
    "a part of what f returns": Case(lambda v: solve(f=lambda t, y: {"x": v}, dt=0.1), v=1.0),
    "what the noise returns": Case(
        lambda v: solve(noise=lambda t, y: v, dt=0.1, solver=sf.EulerMaruyama()), v={"x": 1.0}
    ),
}  # fmt: skip
SPIKES = xr.Dataset(
    {
        "a.spikes.count": ("x", [0, 1]),
        "a.spikes.first": ("x", [0, 0]),
        "a.spikes.times": ("a.spikes.spike", [1.0]),
        "a.spikes.cells": ("a.spikes.spike", [0]),
    },
    {"x": ("x", [0.1, 0.2], {"units": "mS"}), "a.spikes.cell": ("a.spikes.cell", [0])},
    {"duration_ms": 5.0, "start_ms": 0.0},
)
PLAIN = {
    "spikes_of": Case(sf.spikes_of, result=SPIKES, key="a", at={"x": 0.1}),
    "a member of spikes_of": Case(lambda v: sf.spikes_of(SPIKES, "a", {"x": v}), v=0.1),
    "Mechanism": Case(
        sf.Mechanism,
        name="x", kind="channel", title="x", reference="x", equations=LEAK.equations, details={},
    ),
    "Between": Case(
        sf.Between, interval=1 * ms, function=lambda moment: None, memory={"a": np.zeros(2)}
    ),
    "Recorder.as_": Case(CELLS["v"].as_, name="x"),
    "PopulationView.rate": Case(CELLS[:2].rate, interval=1 * ms),
    "Projection[]": Case(NETWORK.projections[0].__getitem__, variable="I"),
    "Projection.connections": Case(NETWORK.projections[0].connections, rows=(0, 1)),
    "Network.save": Case(NETWORK.save, path="n.npz"),
    "load_network": Case(sf.load_network, path="n.npz"),
    "diff": Case(sf.diff, a=NETWORK, b=NETWORK, here="here", there="there"),
    "field_potential": Case(
        sf.analysis.field_potential, "stop", mean_voltage=NOISY, interval=0.1, start=0.0, stop=5.0
    ),
    "power_spectrum": Case(sf.analysis.power_spectrum, signal=NOISY, interval=1.0),
    "vector_strength": Case(
        sf.analysis.vector_strength,
        times=np.arange(10.0), signal=NOISY, frequency=20.0, start=0.0, interval=1.0,
        half_width=4.0,
    ),
    "antennal_lobe": Case(sf.models.antennal_lobe, parameters="al-20hz", seed=1),
    "cortical_microcircuit": Case(
        sf.models.cortical_microcircuit, background="poisson", seed=1, scale=0.1
    ),
    "decision": Case(
        sf.models.decision, parameters="wang-2002", seed=1, scale=0.1, coherence=51.2
    ),
    "SpikeTrains.problem": Case(lambda k: PAIRS.problem(k), k=0),  # noqa: PLW0108 - by name
    **{
        f"math.{name}": Case(getattr(sf.math, name), x=1.0)
        for name in MATH
    },
    "math.minimum": Case(sf.math.minimum, a=1.0, b=2.0),
    "math.maximum": Case(sf.math.maximum, a=1.0, b=2.0),
    "math.where": Case(sf.math.where, condition=True, a=1.0, b=2.0),
}  # fmt: skip
# What only we give: words in messages.
WORDS = {("parameter", "name"), ("parameter", "where"), ("scalar", "name"), ("from_data", "name")}
KEYS = {"simulate from a state", "simulate from a population"}


class Compiled(SomaflowError):  # noqa: N818 - not an error of anybody's
    """A call has come as far as the compiler: its arguments were taken."""

    def __init__(self) -> None:
        super().__init__("the arguments were taken")


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Compiled

    monkeypatch.setattr(tf, "function", refuse)


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    NETWORK.save("n.npz")


def answers(case: Case, name: str, skip: Any = lambda value: False) -> Iterator[str]:
    """Yield how a call fails in any other way than it may."""
    for label, value in VALUES.items():
        if skip(value):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                case.call(**case.arguments | {name: value})
        except SomaflowError as error:
            if len(str(error)) < 10:
                yield f"{label}: it says only {str(error)!r}"
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            yield f"{label}: {type(error).__name__} in {place.filename}:{place.lineno}"


def swept(cases: dict[str, Case]) -> list[Any]:
    pairs = [(title, name) for title, case in cases.items() for name in case.arguments]
    return [pytest.param(*pair, id="-".join(pair)) for pair in pairs if pair not in WORDS]


@pytest.mark.parametrize(("title", "name"), swept(CASES | PLAIN))
def test_nonsense_gets_an_answer(title: str, name: str) -> None:
    assert list(answers((CASES | PLAIN)[title], name)) == []


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("title", "name"), swept(COMPILED))
def test_nonsense_gets_an_answer_before_anything_is_compiled(title: str, name: str) -> None:
    skip = (lambda value: not hashable(value)) if title in KEYS else (lambda value: False)
    assert list(answers(COMPILED[title], name, skip)) == []


@pytest.mark.parametrize("title", PLAIN)
def test_the_calls_that_are_spoiled_work(title: str) -> None:
    PLAIN[title].call(**PLAIN[title].arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sf.Solution:
    path = tmp_path_factory.mktemp("run") / "a.zarr"
    record = [CELLS["v"], CELLS.spikes]
    return sf.simulate(sf.Network(CELLS), 1 * ms, **RUN, record=record, sink=path)


def test_nonsense_asked_of_a_result_gets_an_answer(run: sf.Solution) -> None:
    place = run._sink.path  # pyright: ignore
    cases = [
        Case(run.read, key="cells.v", start=0, stop=1),
        Case(run.__getitem__, key="cells.v"),
        Case(run.__contains__, key="cells.v"),
        Case(run.final.__getitem__, population="cells"),
        Case(sf.plotting.raster, spikes=run["cells.spikes"], ax=None, color="k"),
        Case(sf.plotting.rasters, run=run, populations=["cells"], title="", window=None),
        Case(
            sf.plotting.competition,
            run=run,
            populations=["cells"],
            title="",
            window=None,
            shaded=None,
        ),
        Case(sf.plotting.response, run=run, spectrum=None, odour=None, title="", window=None),
        Case(
            sf.plotting.sweep,
            result=xr.Dataset({"rate": ("g", [1.0, 2.0])}),
            variable=None,
            title="",
        ),
        Case(sf.resume, path=place, duration=1 * ms, checkpoint=None, exact=True, progress=False),
        Case(sf.check, path=place, repair=False),
        Case(sf.ZarrSink, path="x.zarr", overwrite=False),
    ]
    found = [
        f"{getattr(case.call, '__name__', case.call)}({name}=...): {answer}"
        for case in cases
        for name in case.arguments
        for answer in answers(case, name)
    ]
    assert found == []


def called(function: Any) -> sf.Solution:
    between = sf.Between(1 * ms, function)
    return sf.simulate(sf.Network(CELLS), 1 * ms, **RUN, between=between)


BETWEEN = {
    "returned": Case(lambda v: called(lambda m: v), v={"cells": {"v": -55}}),
    "edits": Case(lambda v: called(lambda m: {"cells": v}), v={"v": -55}),
    "value": Case(lambda v: called(lambda m: {"cells": {"v": v}}), v=-55),
    "part": Case(lambda v: called(lambda m: m[v] and None), v="cells"),
    "variable": Case(lambda v: called(lambda m: m["cells"][v].sum() and None), v="v"),
    "memory": Case(lambda v: called(lambda m: m.memory.update(a=v)), v=1.0),
}


@pytest.mark.parametrize("title", BETWEEN)
def test_nonsense_from_a_function_between_steps_gets_an_answer(title: str) -> None:
    case = BETWEEN[title]
    case.call(**case.arguments)
    assert list(answers(case, "v")) == []


def test_every_public_callable_is_swept() -> None:
    modules = {name for name in sf.__all__ if inspect.ismodule(getattr(sf, name))}
    solvers = {
        name
        for name in set(sf.__all__) - modules
        if getattr(sf, name).__module__.startswith("somaflow.solvers")
    }
    here = {"ZarrSink", "resume", "check"}
    none = {"MemorySink", "OneToOne"}  # they take nothing
    titles = {title.split(".")[0].removesuffix("()") for title in CASES | PLAIN | COMPILED}
    assert set(sf.__all__) - solvers - modules - here - none - RESULTS - titles == set()
    for title, case in PLAIN.items():
        if "lambda" not in repr(case.call):
            assert set(inspect.signature(case.call).parameters) == set(case.arguments), title


LIGHT = """
import sys
from nonsense import CASES, VALUES
from somaflow.errors import SomaflowError
for title, case in CASES.items():
    for name in case.arguments:
        for value in VALUES.values():
            try:
                case.call(**case.arguments | {name: value})
            except Exception:
                pass
print("tensorflow" in sys.modules)
"""


def test_nonsense_for_descriptions_loads_no_tensorflow() -> None:
    command = [sys.executable, "-W", "ignore", "-c", LIGHT]
    folder = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
