"""Pickles: what crosses between a process and its worker processes, and how."""

import builtins
import dis
import io
import marshal
import pickle
import traceback
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, BinaryIO, cast

from somaflow.errors import SomaflowError, WrongTypeError
from somaflow.given import shown

_LENGTH = 8  # bytes
# What a worker writes to its standard error after each call: what follows belongs to the next one.
END_OF_CALL = b"\0end of a call\0\n"


class UnsendableError(WrongTypeError):
    """Something cannot be sent to another process, whichever member it belongs to."""


class ForeignError(SomaflowError):
    """An exception of a call that cannot be pickled itself: its words."""


def packed(value: object, otherwise: str) -> bytes:
    """Return a value as bytes for a worker process.

    Args:
        value: The value.
        otherwise: A sentence for messages: how to do without another process.

    Raises:
        UnsendableError: Something in it cannot be pickled, or is an object of a class that is
            defined in `__main__`, which no other process can import. Functions defined there, and
            within others, are sent with what they use.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, otherwise).dump(value)
    except UnsendableError:
        raise
    except Exception as error:  # whatever a user's own `__reduce__` raises
        raise UnsendableError(
            f"a task cannot be sent to another process: {type(error).__name__}: {error}. "
            f"{otherwise}"
        ) from error
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """A pickler that knows what a worker process cannot find."""

    def __init__(self, file: BinaryIO, otherwise: str) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._otherwise = otherwise

    def reducer_override(self, value: Any) -> Any:
        """Take functions of the user's script apart, and refuse its classes."""
        if isinstance(value, FunctionType):
            hidden = value.__module__ == "__main__" or "<" in value.__qualname__
            return _taken_apart(value) if hidden else NotImplemented
        if isinstance(value, ModuleType):
            return import_module, (value.__name__,)
        if isinstance(value, type) and value.__module__ == "__main__":
            raise UnsendableError(
                f"{shown(value)} is defined in the script or notebook itself, where no other "
                "process finds it. Put it into a module (a file mine.py beside the script, and "
                f"'from mine import {value.__qualname__}'). {self._otherwise}"
            )
        return NotImplemented


def _taken_apart(function: FunctionType) -> tuple[Any, ...]:
    """Return a function as its code and what that uses.

    It is put together empty, and filled then: it may call itself, or what it uses may use it.
    """
    code = function.__code__
    cells = function.__closure__ or ()
    contents = [_content(cell) for cell in cells]
    known = function.__globals__
    state = {
        "globals": {name: known[name] for name in sorted(_names(code)) if name in known},
        "cells": [(k, content[0]) for k, content in enumerate(contents) if content],
        "defaults": function.__defaults__,
        "keywords": function.__kwdefaults__,
        "attributes": function.__dict__,
    }
    empty = marshal.dumps(code), function.__name__, function.__qualname__, len(cells)
    return _put_together, empty, state, None, None, _filled


def _names(code: CodeType) -> set[str]:
    """Return the global names that code uses, that of functions within it too."""
    names = {
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return names.union(*map(_names, inner))


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # a name that has no value yet
        return ()


def _put_together(code: bytes, name: str, qualname: str, cells: int) -> FunctionType:
    names = {"__builtins__": builtins, "__name__": "__main__"}
    closure = tuple(CellType() for _ in range(cells))
    function = FunctionType(marshal.loads(code), names, name, None, closure)
    function.__qualname__ = qualname
    return function


def _filled(function: FunctionType, state: dict[str, Any]) -> FunctionType:
    function.__globals__.update(state["globals"])
    cells = cast(tuple[CellType, ...], function.__closure__)
    for k, content in state["cells"]:
        cells[k].cell_contents = content
    function.__defaults__, function.__kwdefaults__ = state["defaults"], state["keywords"]
    function.__dict__.update(state["attributes"])
    return function


def failure(error: BaseException, origin: BaseException | None = None) -> bytes:
    """Return an exception as bytes: False, itself or its words, and a traceback.

    Args:
        error: The exception.
        origin: That whose traceback it is, where that is another one.
    """
    text = "".join(traceback.format_exception(origin or error))
    try:
        data = pickle.dumps((False, error, text), pickle.HIGHEST_PROTOCOL)
        pickle.loads(data)  # some can be written but not read
    except Exception:
        told = ForeignError(f"{type(error).__name__}: {error}")
        data = pickle.dumps((False, told, text), pickle.HIGHEST_PROTOCOL)
    return data


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
