"""Background: writing while the next chunk is computed."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec

_P = ParamSpec("_P")
# How many jobs may wait: each holds the samples of a chunk.
_MOST_WAITING = 2


class Background:
    """Does jobs one after another in a thread of its own; the first that fails is the last.

    Used as a context: at its end all jobs are done, and what failed is raised.
    """

    def __enter__(self) -> "Background":
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="somaflow-writer")
        self._waiting: deque[Future[None]] = deque()
        self._error: BaseException | None = None
        return self

    def submit(self, job: Callable[_P, None], *args: _P.args, **named: _P.kwargs) -> None:
        """Add a job; wait if too many wait already.

        Raises:
            Exception: What an earlier job raised.
        """
        while len(self._waiting) >= _MOST_WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._do, partial(job, *args, **named)))

    def finish(self) -> None:
        """Wait until all jobs are done.

        Raises:
            Exception: What one of them raised.
        """
        while self._waiting:
            self._waiting.popleft().result()

    def _do(self, job: Callable[[], None]) -> None:
        # Order is a promise: after a write that failed nothing later may be written.
        if self._error is not None:
            raise self._error
        try:
            job()
        except BaseException as error:
            self._error = error
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self._pool.shutdown(wait=True)
