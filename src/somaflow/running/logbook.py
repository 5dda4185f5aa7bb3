"""Logbook: what a run tells of itself beside its store: progress, dates, host, and how it ended."""

import json
import os
import platform
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path

import tensorflow as tf

from somaflow import settings
from somaflow.given import parsed
from somaflow.notation import Json
from somaflow.running.progress import Progress
from somaflow.storage.folder import JOB, PROGRESS, Folder
from somaflow.storage.ownership import job_of

FINISHED = "finished"
_BETWEEN = 1.0  # s from one note of the progress to the next
# Of what else a run is made of, the bits of its results can depend on these.
_VERSIONS = ("somaflow", "tensorflow", "numpy", "zarr")


class Logbook:
    """The files beside a store.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._last = 0.0

    def begin(self, job: dict[str, Json]) -> None:
        """Keep what the run is."""
        self.folder.write(JOB, json.dumps(job).encode())
        self.line(f"begun on {platform.node()}, process {os.getpid()}, {made_with()}")

    def line(self, text: str) -> None:
        """Add a line with the date."""
        self.folder.log(text)

    def is_due(self) -> bool:
        """Return whether the progress should be noted now, and remember it as noted."""
        now = time.monotonic()
        if now - self._last < _BETWEEN:
            return False
        self._last = now
        return True

    def note(self, progress: Progress, state: str = "running", sentence: str = "") -> None:
        """Write how far the run is, for others to read."""
        told = {
            "state": state,
            "sentence": sentence,
            "host": platform.node(),
            "pid": os.getpid(),
            "updated": time.time(),
            "progress": asdict(progress),
        }
        self.folder.write(PROGRESS, json.dumps(told).encode())

    def is_finished(self) -> bool:
        """Return whether the last word on a run is that it is finished."""
        try:
            return parsed(self.folder.read(PROGRESS))["state"] == FINISHED
        except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
            return False

    def end(self, state: str, sentence: str, progress: Progress) -> None:
        """Write how the run ended, as far as that is possible.

        Nothing is written where what the run is could not be: that folder would be nobody's.
        """
        if job_of(self.folder) is None:
            return
        try:
            self.note(progress, state, sentence)
            self.line(f"{state}: {progress.sentence()}; {sentence}")
        except OSError:
            return  # a full disk, most likely: the user is told of it elsewhere


def made_with() -> dict[str, str]:
    """Return what the bits of a result can depend on beside its description."""
    versions = settings.versions()
    return {name: versions[name] for name in _VERSIONS} | {
        "processor": _processor(),
        "accelerators": _accelerators(),
        "XLA_FLAGS": _flags(),
    }


def _flags() -> str:
    """Return what XLA is told, but for where it writes what it compiled."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(sorted(flag for flag in flags if "_dump_" not in flag)) or "none"


@cache
def _accelerators() -> str:
    """Return the names of the devices that compute in place of the processor."""
    devices = tf.config.list_physical_devices("GPU") + tf.config.list_physical_devices("TPU")
    details = tf.config.experimental.get_device_details
    return (
        ", ".join(details(device).get("device_name", device.name) for device in devices) or "none"
    )


@cache
def _processor() -> str:
    """Return the type of this processor, and which vectors it has: XLA compiles for them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return f"{platform.machine()} {platform.processor()}".strip()
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    vectors = sorted(
        flag for flag in flags if flag.startswith(("avx", "fma", "sve", "asimd", "amx"))
    )
    model = facts.get("model name") or platform.machine()
    return f"{model} ({' '.join(vectors)})"
