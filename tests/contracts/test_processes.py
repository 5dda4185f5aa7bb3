"""What a process does that was forked, has little memory, or whose output somebody reads."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MODEL = """
import somaflow as sf
from somaflow.units import ms, nA

def solved():
    return float(sf.solve(lambda t, y: -y, 1.0, t1=1.0, dt=0.1).y[-1])

def simulated(n=3):
    cells = sf.Population("cells", n, sf.load("lif"))
    network = sf.Network(cells, sf.CurrentClamp(cells, 2*nA))
    run = sf.simulate(network, 20*ms, dt=0.1*ms, record=cells["v"], progress=False)
    return float(run["cells.v"][-1, 0])
"""

FORKED = """
import multiprocessing as mp, warnings
warnings.simplefilter("ignore", DeprecationWarning)

def told(call):
    try:
        return str(call())
    except sf.errors.RunError as error:
        return str(error)

fresh = mp.get_context("fork")
import tensorflow  # that it is loaded does no harm
with fresh.Pool(1) as pool:
    print("before:", pool.apply(told, (solved,)))
print("parent:", solved(), simulated())
with fresh.Pool(1) as pool:
    print("solve:", pool.apply(told, (solved,)))
    print("simulate:", pool.apply(told, (simulated,)))
print("parent:", solved(), simulated())
"""


def ran(text: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", MODEL + text],
        capture_output=True, text=True, check=False, env=environment | more,
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_process_that_has_computed_is_told_so_at_once() -> None:
    lines = ran(FORKED).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "before", "parent", "solve", "simulate", "parent"
    ]  # fmt: skip
    assert lines[0].removeprefix("before: ").startswith("0.3678")
    assert lines[1] == lines[4]
    for line in lines[2:4]:
        assert "forked from one that had computed" in line
        assert "get_context('spawn')" in line


def test_a_script_prints_its_results_and_nothing_else() -> None:
    done = ran("print(round(solved(), 3), simulated() < -50)")
    assert (done.stdout, done.stderr) == ("0.368 True\n", "")
    said = ran("solved()", TF_CPP_MIN_LOG_LEVEL="0").stderr
    assert "XLA service" in said


def test_mpi_is_not_begun_where_it_was_not_asked_for() -> None:
    text = "import sys, somaflow.workers.launch; simulated(); print('mpi4py' in sys.modules)"
    assert ran(text).stdout == "False\n"


def test_an_error_of_an_import_is_seen() -> None:
    done = ran("import sys; sys.modules['zarr'] = None; sf.simulate")
    assert done.returncode == 1
    assert "zarr" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is of Linux")
def test_a_limit_on_addresses_is_told_with_both_numbers() -> None:
    limit = """
import resource, somaflow.running.execution  # loads TensorFlow
size = [int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmSize")][0]
resource.setrlimit(resource.RLIMIT_AS, (size + 900_000_000, resource.RLIM_INFINITY))
try:
    simulated(1000)
except sf.errors.RunError as error:
    print(error)
"""
    said = ran(limit).stdout
    assert "needs" in said
    assert "MB are free under ulimit -v, of which the compiler takes 1.5 GB" in said
    assert "0 bytes" not in said
