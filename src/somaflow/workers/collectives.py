"""Collectives: TensorFlow's own carry the messages of workers, where there is no MPI.

TF_CONFIG names the workers. An exchange takes milliseconds where MPI takes microseconds.
"""

import functools
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import tensorflow as tf

from somaflow.errors import RunError
from somaflow.workers.carrying import PATIENCE, WorkerSilent, bounded, of_cluster
from somaflow.workers.exchange import Message

_GROUP = 7001  # a number that no other collective of this process has
_SIZES = 1  # the number of the exchanges of sizes; that of data is a power of 2 above it
_WORD = 4  # bytes: there are collectives of whole numbers of 32 and 64 bits, not of bytes


def line(patience: float) -> "_Line":
    """Return the line of this process, when all workers have come to it.

    Args:
        patience: For how many seconds to wait for them.

    Raises:
        RunError: TensorFlow has computed something in this process before.
    """
    try:
        with bounded(patience):
            made = _made()
    except RuntimeError as error:
        raise RunError(
            "TensorFlow has computed something in this process before its workers were joined "
            f"({error}); begin the run on several workers before all else."
        ) from error
    made.patience = patience
    return made


@functools.cache
def _made() -> "_Line":
    return _Line()


class _Line:
    """What this worker hears the others by.

    Attributes:
        rank: The number of this worker.
        size: How many there are.
        patience: For how many seconds to wait for the others.
    """

    def __init__(self) -> None:
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=tf.distribute.experimental.CommunicationImplementation.RING
        )
        # It is not used as such, but sets up the servers by which collectives find the others.
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        self.rank, self.size = of_cluster()
        self.patience = 0.0

    def exchanged(self, message: Message) -> Sequence[bytes]:
        """Return what all say, in their order; an empty list where it is not for this worker.

        Raises:
            WorkerSilent: Some do not answer.
        """
        sizes = self._gathered(np.array([len(message.data)], np.int64), _SIZES)
        # A power of 2 for all, so that there are few shapes; each is set up anew.
        words = 1 << max(1, int(-(-sizes.max() // _WORD) - 1).bit_length())
        own = np.zeros(words * _WORD, np.uint8)
        own[: len(message.data)] = np.frombuffer(message.data, np.uint8)
        every = self._gathered(own.view(np.int32), words).view(np.uint8).reshape(self.size, -1)
        if not message.to_all and self.rank:
            return []
        return [row[:n].tobytes() for row, n in zip(every, sizes, strict=True)]

    def left(self) -> None:
        """Wait until all have come to their end.

        Raises:
            WorkerSilent: Some do not.
        """
        self._gathered(np.array([0], np.int64), _SIZES)

    def abort(self, status: int) -> NoReturn:
        """End this process; the others see within seconds that it has gone."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _gathered(self, values: np.ndarray, key: int) -> np.ndarray:
        try:
            with tf.device("CPU:0"):
                every = tf.raw_ops.CollectiveGatherV2(
                    input=values,
                    group_size=self.size,
                    group_key=_GROUP,
                    instance_key=key,
                    ordering_token=[],
                    communication_hint="ring",
                    timeout_seconds=self.patience,
                )
            return every.numpy()
        except tf.errors.DeadlineExceededError as error:
            who = f"worker {1 - self.rank}" if self.size == 2 else "a worker"  # it does not say
            raise WorkerSilent(
                f"{who} of {self.size} did not answer for {self.patience:g} s: it hangs, is "
                "stopped, or computes for longer than that between two exchanges. A run with a "
                "store goes on from its last checkpoint; "
                f"{PATIENCE} sets how many seconds workers wait."
            ) from error
        except tf.errors.OpError as error:
            tasks = sorted(set(re.findall(r"/task:(\d+)", error.message)) - {str(self.rank)})
            who = f"worker {tasks[0]}" if len(tasks) == 1 else "a worker"
            raise WorkerSilent(
                f"{who} of {self.size} has gone ({error.message.strip().splitlines()[0]}). Look at "
                "that process and its machine; a run with a store goes on from its last checkpoint."
            ) from error
