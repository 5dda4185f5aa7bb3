"""Executors of other packages, where they are installed."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
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

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
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


def test_one_that_is_shut_is_found(pool: Executor) -> None:
    """The last test: nothing follows on this pool."""
    check_pool(pool)
    pool.shutdown()
    with pytest.raises(RunError, match="takes no tasks"):
        check_pool(pool)
