"""What the benchmarks leave in `.bench/results`: a JSON file each, read by `run.py standing`."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from harness import environments

RESULTS = environments.BENCH / "results"


class Kept(NamedTuple):
    """What was found in one case of a benchmark.

    Attributes:
        date: When it was run, as `2026-11-29`.
        machine: Where: processor, cores, TensorFlow, in words.
        found: What was found; of a benchmark with peers `rounds.Results`.
    """

    date: str
    machine: str
    found: Any


def keep(name: str, found: Mapping[str, Any]) -> None:
    """Write what a benchmark found, by case; its other cases stay as they were kept before."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    today, here = date.today().isoformat(), machine()
    cases = kept(name) | {case: Kept(today, here, value) for case, value in found.items()}
    text = json.dumps({case: one._asdict() for case, one in cases.items()}, indent=1)
    _file(name).write_text(text, encoding="utf-8")


def kept(name: str) -> dict[str, Kept]:
    """Return what a benchmark left, by case; nothing where it was not run."""
    file = _file(name)
    if not file.exists():
        return {}
    cases = json.loads(file.read_text(encoding="utf-8"))
    return {case: Kept(**one) for case, one in cases.items()}


def machine() -> str:
    """Return the processor, how many cores may be used, and the version of TensorFlow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    version = importlib.metadata.version("tensorflow")
    return (
        f"{_processor()}, {cores} cores, Python {platform.python_version()}, TensorFlow {version}"
    )


def _processor() -> str:
    """Return the processor's name; the system's word for its kind where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"
