"""The device of a worker: one for each on its machine, by its number there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from somaflow.workers.carrying import local_rank

HERE = Path(__file__).parent

SCRIPT = """
import itertools, sys
import numpy as np
import tensorflow as tf
sys.path.insert(0, {here!r})
cpu = tf.config.list_physical_devices("CPU")[0]
virtual = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, virtual)
import somaflow as sf
import wholes
from somaflow.simulation.interval import Interval
from somaflow.units import Hz, ms, mV, nA
from somaflow.workers import sharing
numbers = itertools.cycle([0, 1])
sharing.local_rank = lambda: next(numbers)
used, made = set(), Interval._made
def _made(self, *given):
    carry, samples = made(self, *given)
    used.add(tuple(dict.fromkeys(tensor.device for tensor in carry.flow)))
    return carry, samples
Interval._made = _made
one = sf.Population("one", 64, wholes.lif(v=sf.Uniform(-60 * mV, -45 * mV)), *wholes.RATES)
current = sf.load("exponential_current")
wired = sf.Projection(one, one, current, sf.FixedProbability(0.2), 0.1 * nA, 2 * ms)
network, asks = sf.Network(one, wired), dict(dt=0.1 * ms, record=[one.spikes])
two = wholes.shared(wholes.asked(network, 10 * ms, **asks), 2)
alone = sf.simulate(network, 10 * ms, dtype="float64", **asks)
assert not wholes.differences(alone, two, asks["record"])
print(len(two["one.spikes"].times), *sorted(name[-1] for (name,) in used))
"""


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({}, 0),
        ({"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1"}, 1),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "3"}, 3),
        ({"SLURM_PROCID": "6", "SLURM_LOCALID": "2"}, 2),
        ({"SLURM_LOCALID": "none"}, 0),
    ],
)
def test_launchers_tell_the_number_on_a_machine(environment: dict[str, str], number: int) -> None:
    assert local_rank(environment) == number


@pytest.mark.parametrize(("index", "number"), [(0, 1), (1, 0), (2, 2)])
def test_of_a_cluster_those_on_one_machine_are_counted(index: int, number: int) -> None:
    cluster = {"chief": ["one:1"], "worker": ["one:2", "two:1", "one:3"]}
    told = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    assert local_rank({"TF_CONFIG": json.dumps(told)}) == number


@pytest.mark.slow
def test_each_share_is_computed_on_the_device_of_its_number() -> None:
    script = SCRIPT.format(here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, *devices = done.stdout.split()
    assert int(count) > 20
    assert devices == ["0", "1"]
