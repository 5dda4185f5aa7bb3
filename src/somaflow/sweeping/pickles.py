"""Pickles: what crosses between a sweep and its worker processes, and how."""

import io
import pickle
from types import FunctionType
from typing import Any, BinaryIO

from somaflow.errors import WrongTypeError
from somaflow.given import shown

_LENGTH = 8  # bytes
# What a worker writes to its standard error after each call: what follows belongs to the next one.
END_OF_CALL = b"\0end of a call\0\n"


class UnsendableError(WrongTypeError):
    """Something cannot be sent to another process, whichever member it belongs to."""


def packed(value: object) -> bytes:
    """Return a value as bytes for a worker process.

    Raises:
        UnsendableError: Something in it cannot be pickled, or is defined in `__main__`, which no
            other process can import.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except UnsendableError:
        raise
    except Exception as error:  # whatever a user's own `__reduce__` raises
        raise UnsendableError(
            f"a task cannot be sent to another process: {type(error).__name__}: {error}. "
            f"{_ELSEWHERE}"
        ) from error
    return buffer.getvalue()


_ELSEWHERE = (
    "Or compute in this process, to which nothing is sent: "
    "pool=concurrent.futures.ThreadPoolExecutor(1)."
)


class _Pickler(pickle.Pickler):
    """A pickler that knows what a worker process cannot find."""

    def reducer_override(self, value: Any) -> Any:
        """Refuse what is defined where a worker cannot import it from."""
        named = isinstance(value, (type, FunctionType))
        if named and value.__module__ == "__main__":
            raise UnsendableError(
                f"{shown(value)} is defined in the script or notebook itself, where no other "
                "process finds it. Put it into a module (a file mine.py beside the script, and "
                f"'from mine import {value.__qualname__}'). {_ELSEWHERE}"
            )
        return NotImplemented


def write(file: BinaryIO, data: bytes) -> None:
    """Write bytes so that `read` knows where they end.

    Raises:
        OSError: The other process has gone.
    """
    file.write(len(data).to_bytes(_LENGTH, "little"))
    file.write(data)
    file.flush()


def read(file: BinaryIO) -> bytes | None:
    """Return what was written by one `write`, or None where the other process has gone."""
    head = file.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    size = int.from_bytes(head, "little")
    data = file.read(size)
    return data if len(data) == size else None
