"""Executors of other packages, where they are installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import small_tasks as small
from small_tasks import Call, Small

from somaflow.errors import RunError
from somaflow.sweeping.schedule import check_pool, run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FOLDER = str(Path(small.__file__).parent)


def on_ray() -> Iterator[Executor]:
    ray = pytest.importorskip("ray")
    from somaflow.sweeping.on_ray import RayExecutor

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield RayExecutor()
    ray.shutdown()


@pytest.fixture(scope="module", params=[on_ray], ids=["ray"])
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *sys.path])
    yield from request.param()
    if old is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = old


def test_members_come_back_and_the_guilty_one_alone_fails(pool: Executor, tmp_path: Path) -> None:
    members: list[Any] = [Call(small.square, (n,)) for n in range(9)]
    members[4] = Call(small.fail, ("too small",))
    members[6] = Call(small.kill)
    numbers = range(9)
    tasks: Any = [Small(tuple(numbers[k : k + 3]), tuple(members[k : k + 3])) for k in (0, 3, 6)]
    work: Any = small.work
    events = list(run(tasks, pool, work=work))
    outcomes = {outcome.number: outcome for event in events for outcome in event.outcomes}
    assert sorted(outcomes) == list(numbers)
    failed = {n: outcome.failure for n, outcome in outcomes.items() if outcome.failure}
    assert sorted(failed) == [4, 6]
    assert failed[4] == "ValueError: too small"
    assert failed[6].startswith("lost")
    assert all(outcomes[n].data == n * n for n in numbers if n not in failed)


def test_what_is_killed_once_is_computed_again(pool: Executor, tmp_path: Path) -> None:
    task: Any = Small((0,), (Call(small.kill_first, (tmp_path,)),))
    work: Any = small.work
    events = list(run([task], pool, work=work))
    assert events[-1].outcomes[0].data == 1


def test_what_is_cancelled_is_over_at_once(pool: Executor, tmp_path: Path) -> None:
    running = [pool.submit(small.nap, 600.0) for _ in range(3)]  # two are begun
    assert all(future.cancel() for future in running)
    assert wait(running, timeout=0).not_done == set()
    assert pool.submit(small.square, 3).result() == 9


def test_one_that_is_shut_is_found(pool: Executor) -> None:
    """The last test: nothing follows on this pool."""
    check_pool(pool)
    pool.shutdown()
    with pytest.raises(RunError, match="takes no tasks"):
        check_pool(pool)


# --------------------------------------------------------------------------- scripts of users

SCRIPT = """
import sys
import somaflow as sf
from somaflow.units import ms, nA
{imports}

def swept(pool, path):
    cells = sf.Population("cells", 3, sf.load("lif"), refractory=2 * ms)
    clamp = sf.Stimulus(cells, sf.Step(2 * nA), name="clamp")
    noise = sf.Stimulus(cells, sf.WhiteNoise(1 * nA * ms**0.5))
    vary = {{"clamp.amplitude": [1.6, 2.0, 2.4] * nA, "seed": range(2)}}
    found = sf.sweep(
        sf.Network(cells, clamp, noise), vary, 50 * ms, dt=0.1 * ms, batch=2, pool=pool,
        sink=path, progress=False,
    )
    print(int(found["cells.spikes.count"].sum()), "spikes")

if __name__ == "__main__":
    {begin}
        swept(pool, sys.argv[1])
    print("end")
"""
RAY = (
    "import ray; from somaflow.sweeping.on_ray import RayExecutor",
    "ray.init(num_cpus=2, include_dashboard=False, _node_ip_address='127.0.0.1')\n"
    "    with RayExecutor() as pool:",
)
DASK = (
    "from dask.distributed import Client, LocalCluster",
    "with (\n"
    "        LocalCluster(\n"
    "            host='127.0.0.1', dashboard_address=None, n_workers=2, threads_per_worker=1\n"
    "        ) as cluster,\n"
    "        Client(cluster) as client,\n"
    "        client.get_executor() as pool,\n"
    "    ):",
)
MPI = "from mpi4py.futures import MPIPoolExecutor", "with MPIPoolExecutor() as pool:"


def mpiexec() -> str | None:
    """Return the path of `mpiexec`: of the wheel `mpich` it stands beside Python."""
    beside = Path(sys.executable).parent
    return shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")


def script(text: tuple[str, str], folder: Path, *before: str) -> str:
    """Run a script to its end, and return what it printed."""
    file = folder / "script.py"
    file.write_text(SCRIPT.format(imports=text[0], begin=text[1]))
    settings = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    done = subprocess.run(
        [*before, sys.executable, *(("-m", "mpi4py.futures") if before else ()), file, "b.zarr"],
        cwd=folder,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the script with the default pool."""
    folder = tmp_path_factory.mktemp("default")
    assert script(("from contextlib import nullcontext", "with nullcontext() as pool:"), folder)
    return folder / "b.zarr"


@pytest.mark.parametrize(
    ("package", "text"),
    [("ray", RAY), ("distributed", DASK), ("mpi4py", MPI)],
    ids=["ray", "dask", "mpi4py"],
)
def test_a_script_leaves_the_bytes_of_the_default_pool_and_ends(
    package: str, text: tuple[str, str], wanted: Path, tmp_path: Path, files: Callable
) -> None:
    before = []
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if package == "mpi4py":
        if (program := mpiexec()) is None:
            pytest.skip("there is no mpiexec: pip install mpich")
        before = [program, "-n", "3"]
    out = script(text, tmp_path, *before)
    assert out.split()[1:] == ["spikes", "end"] and int(out.split()[0]) > 0
    assert files(tmp_path / "b.zarr") == files(wanted)


def test_a_script_ends_that_ends_ray_before_the_executor(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    text = RAY[0], f"{RAY[1]}\n        pool.submit(len, []).result(); ray.shutdown()\n    if 0:"
    assert script(text, tmp_path).split() == ["end"]
