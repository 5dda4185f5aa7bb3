"""Ray as an executor; it is loaded when this module is imported, and by nothing else."""

from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray import exceptions  # pyright: ignore[reportMissingImports]

from somaflow.running.child import WorkerLost


class RayExecutor(Executor):
    """The processes of a Ray cluster, one task on each core.

    Call `ray.init()` before. What Ray loses is told as lost rather than computed again by Ray
    itself, so that the sweep's own bound holds.
    """

    def __init__(self) -> None:
        self._call = ray.remote(max_retries=0, num_cpus=1)(_called)
        self._open = True
        # Of calls that are not over. Who takes one out of here tells those who wait for it; nothing
        # else holds a reference, so that Ray lets go of results that nobody has any more.
        self._references: dict[Future[Any], Any] = {}

    @property
    def num_workers(self) -> int:
        """Cores of the cluster, which may grow."""
        return int(ray.cluster_resources().get("CPU", 1))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called somewhere in the cluster.

        Raises:
            RuntimeError: The executor is shut.
        """
        if not self._open:
            raise RuntimeError("cannot schedule new futures after shutdown")
        reference = self._call.remote(fn, args, kwargs)
        future: Future[Any] = Future()
        self._references[future] = reference
        future.add_done_callback(self._abandon)
        reference.future().add_done_callback(partial(self._end, future))
        return future

    def _end(self, future: Future[Any], done: Future[Any]) -> None:
        """Give a future what Ray has, unless it was cancelled."""
        reference = self._references.pop(future, None)
        if reference is not None and future.set_running_or_notify_cancel():
            _settle(future, done)

    def _abandon(self, future: Future[Any]) -> None:
        """End a call that was cancelled; who waits for it is told now, as Ray may take long."""
        if future.cancelled():
            reference = self._references.pop(future, None)
            if reference is not None:
                future.set_running_or_notify_cancel()
                if ray.is_initialized():
                    ray.cancel(reference, force=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the cluster stays as it is."""
        self._open = False
        left = list(self._references)
        if cancel_futures:
            for future in left:
                future.cancel()
        if not ray.is_initialized():  # a cluster that was ended first tells nobody of its calls
            for future in left:
                mine = self._references.pop(future, None) is not None
                if mine and future.set_running_or_notify_cancel():
                    future.set_exception(WorkerLost("Ray was shut down"))
        if wait:
            futures.wait(left)


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _settle(future: Future[Any], done: Future[Any]) -> None:
    """Give a future what Ray has; an exception of the call is that itself, not one around it."""
    error: Any = done.exception()
    if error is None:
        future.set_result(done.result())
    elif isinstance(error, exceptions.RayTaskError):
        future.set_exception(error.cause)
    elif isinstance(error, exceptions.RayError):
        future.set_exception(WorkerLost(f"Ray lost it ({type(error).__name__})"))
    else:
        future.set_exception(error)
