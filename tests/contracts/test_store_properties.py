"""However a run is cut, in the computer, on the disk and by stops: the same bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.storage import checkpoint, store
from somaflow.storage.folder import beside
from somaflow.units import ms, mV

pytestmark = [pytest.mark.slow(seconds=25)]
STEPS = 600
# Each recorder is in one; every set of them would be a model to compile.
RECORDED = [(0, 1, 4), (2, 3, 5)]


def recorders(cells: sf.Population) -> list[sf.Recorder]:
    return [
        cells.spikes,
        cells[[2, 0]]["v"].every(0.3 * ms),
        cells["v"].mean().every(0.5 * ms, "max"),
        cells.spikes.every(2 * ms, "count"),
        cells["v"].histogram(np.linspace(-70, -50, 5) * mV).every(1.1 * ms),
        cells["I_stim"].every(0.7 * ms, "mean"),
    ]


@st.composite
def plans(draw: Any) -> dict[str, Any]:
    """How a run is made in parts."""
    stops = sorted(draw(st.lists(st.integers(20, STEPS - 1), max_size=3)))
    part = st.fixed_dictionaries(
        {
            "steps": st.sampled_from([37, 90, 10_000]),
            "numbers": st.sampled_from([200, 4_000_000]),
        }
    )
    return {
        "record": draw(st.sampled_from(RECORDED)),
        "room": draw(st.sampled_from([60, 333, 1 << 20])),
        "every": draw(st.sampled_from([None, 33, 70, 123, 400])),
        "parts": [draw(part) for _ in range(len(stops) + 1)],
        "stops": stops,
        # At which of the parts the run is still shorter than in the end.
        "extended": draw(st.booleans()),
        "how": draw(st.sampled_from(["exception", "kill"])),
    }


class Kill(BaseException):
    """The end of a process, as far as that is possible within one."""


@settings(
    max_examples=8,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=plans())
def test_bytes_do_not_depend_on_how_a_run_is_cut(
    plan: dict[str, Any], small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    for entry in list(tmp_path.iterdir()):
        shutil.rmtree(entry)
    record = [recorders(small.cells)[k] for k in plan["record"]]
    given_once: dict[str, Any] = {"record": record}
    if plan["every"] is not None:
        given_once["checkpoint"] = plan["every"] * 0.1 * ms
    path, whole = tmp_path / "a.zarr", tmp_path / "whole.zarr"
    resumed = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "CHUNK_BYTES", plan["room"])
        small(STEPS / 10, sink=whole, record=record)
        plain_close = store.ZarrSink.close
        for k, (part, stop) in enumerate(
            zip(plan["parts"], [*plan["stops"], float("inf")], strict=True)
        ):
            patch.setattr(chunks, "_CHUNK_STEPS", part["steps"])
            patch.setattr(chunks, "_CHUNK_NUMBERS", part["numbers"])
            last = stop == float("inf")
            killed = plan["how"] == "kill" and not last
            patch.setattr(store.ZarrSink, "close", (lambda sink: None) if killed else plain_close)

            def show(progress: sf.Progress, stop: float = stop) -> None:
                if progress.done >= stop / 10:
                    raise Kill

            end = STEPS
            if plan["extended"] and k == 0 and not last:
                end = stop  # it is finished there
            try:
                if k == 0:
                    small(end / 10, sink=path, progress=show, **given_once)
                else:
                    sf.resume(path, STEPS / 10, progress=show)
                    resumed += 1
            except Kill:
                pass
            if not last:
                resumed += checkpoint.newest(beside(path))[0].step > 0
        if not plan["stops"]:
            sf.resume(path, progress=False)
    event(f"{len(plan['stops'])} stops, {resumed} resumed within")
    found, wanted = bytes_of(path), bytes_of(whole)
    assert {name for name in found | wanted if found.get(name) != wanted.get(name)} == set()
