"""Several recordings of one variable stand side by side, each under a name, and say where they end.

All of them are of one run, in a store, of 105 ms.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.cli import report
from somaflow.errors import NetworkError, RunError, SomaflowError, WrongTypeError
from somaflow.storage.folder import beside
from somaflow.units import ms, nA

A = sf.Population("a", 6, sf.load("lif"))
NETWORK = sf.Network(A, sf.CurrentClamp(A, np.linspace(1.6, 4, 6) * nA))
SETTINGS: dict[str, Any] = {"dt": 0.1 * ms, "solver": sf.Euler()}
RECORD = [
    A["v"],
    A["v"].every(1 * ms).as_("slow"),
    A["v"].as_("means").every(2 * ms, "mean"),
    A[3:]["v"].as_("right"),
    A.spikes,
    A[:2].spikes.as_("left spikes"),
    A.rate(10 * ms),
    A[:2].rate(10 * ms).as_("left.rate"),
    A[2:].rate(10 * ms).as_("right.rate"),
]
ENDS = {"means": 104.0, "a.rate": 100.0, "left.rate": 100.0, "right.rate": 100.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sf.Solution:
    path = tmp_path_factory.mktemp("names") / "a.zarr"
    return sf.simulate(NETWORK, 105 * ms, record=RECORD, sink=path, progress=False, **SETTINGS)


def test_each_recording_is_under_its_name(run: sf.Solution) -> None:
    assert list(run) == [recorder.key for recorder in RECORD]
    v, spikes = run["a.v"].values, run["a.spikes"]
    assert v.shape == (1051, 6)
    np.testing.assert_array_equal(run["slow"], v[::10])
    np.testing.assert_array_equal(run["right"], v[:, 3:])
    np.testing.assert_allclose(run["means"][1:], v[1:1041].reshape(52, 20, 6).mean(1))
    left = run["left spikes"]
    assert left.times.tolist() == spikes.times[spikes.cells < 2].tolist()
    assert len(left.to_neo()) == 2
    assert run.statistics["spikes"] == {"a": len(spikes), "left spikes": len(left)}
    rates = {name: run[name].values for name in ("left.rate", "right.rate", "a.rate")}
    mixed = (2 * rates["left.rate"] + 4 * rates["right.rate"]) / 6
    np.testing.assert_allclose(rates["a.rate"], mixed)
    assert np.ptp(rates["right.rate"] - rates["left.rate"]) > 0


def test_samples_that_end_before_the_run_say_so(run: sf.Solution) -> None:
    for key in run:
        if key not in ("a.spikes", "left spikes"):
            ends = run[key].attrs.get("ends")
            last = ENDS.get(key, 105)
            wanted = f"at {last:g} ms, {105 - last:g} ms before the run's end"
            assert ends == (wanted if last < 105 else None), key
    assert "ends" not in run.read("a.rate", stop=50 * ms).attrs
    assert "ends" in run.read("a.rate", start=50 * ms).attrs
    assert "right.rate to 100 ms; 105 ms)" in repr(run)
    assert "slow," in repr(run)
    assert run.statistics["samples_end_ms"] == ENDS
    table = report.table(report.summary(run.statistics, run.meta, 105.0))
    shown = [dict(zip(*(column.cells for column in table.columns), strict=True))]
    assert shown[0]["last sample of means"] == "at 104 ms"


def test_a_plan_says_so_too() -> None:
    plan = sf.plan(NETWORK, 105 * ms, record=RECORD, **SETTINGS)
    assert plan.samples_end_ms == ENDS
    assert "last sample of means      at 104 ms, before the run's end" in str(plan)


def test_names_are_kept_in_a_store(run: sf.Solution, tmp_path: Path) -> None:
    path = Path(str(run._sink.path))  # pyright: ignore
    for folder in (path, Path(str(beside(path)))):
        shutil.copytree(folder, tmp_path / folder.name)
    path = tmp_path / path.name
    with xr.open_zarr(path, consolidated=False) as data:
        written, made = data.load(), run.to_xarray()
    assert set(written.variables) == set(made.variables)
    for name in written.variables:
        np.testing.assert_array_equal(written[name], made[name], err_msg=str(name))
    longer = sf.resume(path, 120 * ms, progress=False)
    assert list(longer) == list(run)
    assert longer.statistics["samples_end_ms"] == {}
    assert "ends" not in longer["left.rate"].attrs
    np.testing.assert_array_equal(longer["slow"], longer["a.v"][::10])


BAD: dict[str, tuple[Any, type[SomaflowError], str]] = {
    "no text": (lambda: A["v"].as_(5), WrongTypeError, "is a text, not 5"),  # pyright: ignore
    "nothing": (lambda: A["v"].as_(""), NetworkError, "'' cannot be the name of a recording"),
    "a folder": (lambda: A["v"].as_("a/v"), NetworkError, "'a/v' cannot be the name"),
    "hidden": (lambda: A["v"].as_("__v"), NetworkError, "'__v' cannot be the name"),
    "two lines": (lambda: A["v"].as_("a\nv"), NetworkError, "has no '/' and no line break"),
    "one name twice": (
        lambda: [A["v"], A[:3]["v"].every(1 * ms)],
        RunError,
        r"two recordings are called 'a\.v'; give one of them a name of its own, such as \.as_",
    ),
    "a name of a part": (
        lambda: [A["v"], A["v"].every(1 * ms).as_("a.v.time")],
        RunError,
        r"recordings 'a\.v' and 'a\.v\.time' would both have an array 'a\.v\.time'",
    ),
}


@pytest.mark.parametrize(("make", "kind", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_a_name_is_refused(
    make: Any, kind: type[SomaflowError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        sf.simulate(NETWORK, 10 * ms, record=make(), progress=False, **SETTINGS)
