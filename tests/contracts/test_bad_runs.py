"""What cannot be run is refused with our own error, before anything is computed or written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    RunError,
    SomaflowError,
    StoreError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.numerics import programs
from somaflow.units import mS, ms, mV, nA, nF, uS

MODEL = sf.Equations.parse(
    "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
    E=-60 * mV,
    g=0.01 * uS,
    C=0.2 * nF,
    v=-60,
)
CELLS = sf.Population("cells", 3, MODEL, threshold="v > -50*mV")
SYNAPSE = sf.load("exponential_current")
NETWORK = sf.Network(CELLS, sf.Projection(CELLS, CELLS, SYNAPSE))


SIMULATE: dict[str, Any] = {
    "network": NETWORK,
    "duration": 1 * ms,
    "dt": 0.1 * ms,
    "solver": sf.RK4(),
    "dtype": "float64",
    "seed": 1,
    "record": [CELLS["v"], CELLS.spikes],
    "initial": {"cells": {"v": -55}},
    "sink": sf.MemorySink(),
    "checkpoint": None,
    "progress": lambda progress: None,
}


class Compiled(Exception):  # noqa: N818 - not an error of anybody's
    """Something was compiled."""


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Compiled

    programs.clear()
    monkeypatch.setattr(tf, "function", refuse)


def test_the_calls_that_are_spoiled_below_work() -> None:
    run = sf.simulate(**SIMULATE)
    assert run["cells.v"].shape == (11, 3)


@pytest.mark.usefixtures("no_compiler")
def test_a_good_call_comes_as_far_as_the_compiler() -> None:
    with pytest.raises(Compiled):
        sf.simulate(**SIMULATE)


# --------------------------------------------------------------- nonsense sweep

# Where None means something.
NONE = {"solver", "initial", "sink", "checkpoint"}
SWEEP = [
    pytest.param(name, wrong, id=f"{name}-{label}")
    for name in SIMULATE
    for label, wrong in (
        ("object", object()), ("None", None), ("text", "nonsense"), ("nan", float("nan")),
        ("list", [object()]), ("class", int), ("complex", 1j),
    )
    if not (label == "None" and name in NONE)
    and not (label == "text" and name == "sink")  # a path
    and not (label == "class" and name == "progress")  # can be called
]  # fmt: skip


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("name", "wrong"), SWEEP)
def test_nonsense_is_answered_with_our_own_error(name: str, wrong: Any) -> None:
    with pytest.raises(SomaflowError) as caught:
        sf.simulate(**SIMULATE | {name: wrong})
    assert len(str(caught.value)) > 10


# ------------------------------------------------------------------- the issue

BAD: dict[str, tuple[dict[str, Any], type[SomaflowError], str]] = {
    "dt negative": ({"dt": -0.1 * ms}, RunError, r"dt is -0\.1 ms.*greater than 0"),
    "dt zero": ({"dt": 0 * ms}, RunError, "dt is 0 ms.*greater than 0"),
    "dt not finite": ({"dt": float("inf")}, MissingValueError, "'dt' is inf"),
    "dt of another unit": ({"dt": 1 * mV}, UnitError, "'dt' is in ms, not mV"),
    "dt an array": ({"dt": [0.1, 0.2] * ms}, WrongTypeError, "'dt' must be one number"),
    "dt a text": ({"dt": "0.1 ms"}, WrongTypeError, "dt is a time"),
    "dt too long": ({"dt": 2 * ms}, RunError, "duration is 1 ms"),
    "dt against an interval": (
        {"dt": 0.25 * ms, "record": CELLS["v"].every(0.4 * ms)},
        RunError,
        r"the recording interval of 'cells\.v' is 0\.4 ms.*dt = 0\.25 ms",
    ),
    "an interval below dt": (
        {"record": CELLS["v"].every(0.01 * ms)},
        RunError,
        r"the recording interval of 'cells\.v' is 0\.01 ms",
    ),
    "duration": ({"duration": 1.05 * ms}, RunError, r"duration is 1\.05 ms.*dt = 0\.1 ms; use"),
    "duration zero": ({"duration": 0 * ms}, RunError, "duration is 0 ms"),
    "duration negative": ({"duration": -1 * ms}, RunError, "duration is -1 ms"),
    "checkpoint": ({"checkpoint": 0.25 * ms}, RunError, r"checkpoint is 0\.25 ms.*dt = 0\.1 ms"),
    "checkpoint negative": ({"checkpoint": -1 * ms}, RunError, "checkpoint is -1 ms"),
    "checkpoint of another unit": ({"checkpoint": 1 * mV}, UnitError, "'checkpoint' is in ms"),
    "checkpoint without a store": (
        {"checkpoint": 1 * ms, "sink": None},
        RunError,
        r"give sink='run\.zarr', or leave checkpoint out",
    ),
    "progress": ({"progress": None}, WrongTypeError, "given a sf.Progress, not None"),
    "dtype": ({"dtype": "float16"}, WrongTypeError, "'float64' or 'float32', not 'float16'"),
    "seed": ({"seed": -1}, SomaflowError, "seed.*-1"),
    "seed that is no whole number": ({"seed": 1.5}, SomaflowError, r"seed.*1\.5"),
    "an unknown population": (
        {"record": sf.Recorder("cell", "v")},
        UnknownNameError,
        "no population 'cell'. Did you mean 'cells'",
    ),
    "an unknown variable": ({"record": sf.Recorder("cells", "u")}, UnknownNameError, "'u'"),
    "a cell that is not there": (
        {"record": sf.Recorder("cells", "v", np.array([3]))},
        NetworkError,
        "there are 3 cells",
    ),
    "one key twice": (
        {"record": [CELLS["v"], CELLS[:2]["v"]]},
        RunError,
        r"two recordings are called 'cells\.v'.*\.as_\(",
    ),
    "initial of nobody": (
        {"initial": {"cell": {"v": 0}}},
        RunError,
        "initial names 'cell'. Did you mean 'cells'",
    ),
    "initial of no state": (
        {"initial": {"cells": {"w": 0}}},
        RunError,
        "'w', which is not a state",
    ),
    "initial of another unit": (
        {"initial": {"cells": {"v": 1 * nA}}},
        RunError,
        "'v'.* is in mV, not nA",
    ),
    "initial of the wrong shape": (
        {"initial": {"cells": {"v": [1, 2]}}},
        RunError,
        r"has shape \(2,\)",
    ),
    "initial of two batches": (
        {"initial": {"cells": {"v": np.zeros((2, 3)), "w": 0}}},
        RunError,
        "'w', which is not a state",
    ),
    "initial NaN": ({"initial": {"cells": {"v": float("nan")}}}, SomaflowError, "nan"),
    "initial that is no dict": ({"initial": {"cells": -60}}, RunError, "is a dict of states"),
    "spikes of cells without threshold": (
        {
            "network": sf.Network(sf.Population("quiet", 2, MODEL)),
            "record": sf.Recorder("quiet", "spikes"),
            "initial": None,
        },
        NetworkError,
        "'quiet' has no threshold",
    ),
}


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("change", "kind", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_before_anything_is_computed_or_written(
    change: dict[str, Any], kind: type[SomaflowError], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    with pytest.raises(kind, match=message):
        sf.simulate(**SIMULATE | {"sink": folder / "a.zarr"} | change)
    assert not folder.exists()


def test_batches_that_do_not_fit_each_other(tmp_path: Path) -> None:
    cells = sf.Population("cells", 3, MODEL(g=np.full((2, 1), 0.01)))
    with pytest.raises(RunError):
        sf.simulate(
            sf.Network(cells), 1, dt=0.1, initial={"cells": {"v": np.zeros((4, 3))}},
            sink=tmp_path / "a.zarr",
        )  # fmt: skip
    assert not (tmp_path / "a.zarr").exists()


BAD_NETWORKS: dict[str, tuple[Callable[[], Any], type[SomaflowError], str]] = {
    "duplicate names": (
        lambda: sf.Network(CELLS, sf.Population("cells", 2, MODEL)),
        NetworkError,
        "two parts of the network are called 'cells'",
    ),
    "duplicate projections": (
        lambda: sf.Network(CELLS, *(sf.Projection(CELLS, CELLS, SYNAPSE) for _ in range(2))),
        NetworkError,
        "'cells_to_cells'",
    ),
    "an unknown port": (
        lambda: sf.Projection(
            CELLS,
            sf.Population("u", 1, sf.Equations.parse("du/dt = -u/(1*ms) : 1", u=0)),
            sf.load("exponential_conductance"),
        ),
        NetworkError,
        "'u' has no input for a synapse: add the line",
    ),
    "weights of the wrong shape": (
        lambda: sf.Projection(CELLS, CELLS, SYNAPSE, weight=np.ones((3, 2)) * nA),
        NetworkError,
        r"shape \[3, 2\]; give one number.*shape \[3, 3\]",
    ),
    "a NaN parameter": (lambda: MODEL(g=float("nan")), MissingValueError, "'g' is nan"),
    "a NaN weight": (
        lambda: sf.Projection(CELLS, CELLS, SYNAPSE, weight=float("nan") * nA),
        MissingValueError,
        "nan",
    ),
    "a weight of another unit": (
        lambda: sf.Projection(CELLS, CELLS, SYNAPSE, weight=1 * mS),
        UnitError,
        "mS",
    ),
}


@pytest.mark.parametrize(
    ("make", "kind", "message"), BAD_NETWORKS.values(), ids=BAD_NETWORKS.keys()
)
def test_networks_that_do_not_fit_together_cannot_be_described(
    make: Callable[[], Any], kind: type[SomaflowError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.usefixtures("no_compiler")
def test_places_are_refused_before_the_compiler_starts(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "full", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=str(place)):
            sf.simulate(**SIMULATE | {"sink": place})
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["file", "full", "full/mine.txt"]
