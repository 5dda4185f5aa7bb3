"""How XLA is asked to compile for a CPU. Imported before anything compiles."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard, TypeVar, TypeVarTuple

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.eager import record

from somaflow.errors import RunError
from somaflow.numerics.types import Tensor

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
State = TypeVar("State")  # a nest of tensors

# XLA asks LLVM for 256-bit vectors even where the processor has 512-bit ones; on such a processor
# the wider ones run the antennal lobe 1.4 times as fast (docs/design/engine.md). Elsewhere the
# wish has no effect. A user's own choice stands.
_WIDTH = "--xla_cpu_prefer_vector_width"
# XLA's pipeline for a CPU takes all barriers away before it fuses, so that what `materialize`
# keeps apart is computed again by every synapse that reads it. Without this pass they stand
# (docs/design/sums.md). Pipelines for other devices were not seen to take barriers that stand.
_PASSES, _EXPANDER = "--xla_disable_hlo_passes", "cse_barrier_expander"


def _with_wishes(flags: str, cpu: bool) -> str:
    """Return the text of `XLA_FLAGS` with what is asked of XLA for a CPU."""
    wishes = flags.split()
    if not any(flag.startswith(_WIDTH) for flag in wishes):
        wishes.append(f"{_WIDTH}=512")
    passes = [flag for flag in wishes if flag.startswith(f"{_PASSES}=")]
    if cpu and not any(_EXPANDER in flag for flag in passes):
        names = [name for flag in passes for name in flag.partition("=")[2].split(",") if name]
        wishes = [flag for flag in wishes if flag not in passes]
        wishes.append(f"{_PASSES}={','.join([*names, _EXPANDER])}")
    return " ".join(wishes)


def _on_cpu() -> bool:
    """Tell whether TensorFlow sees no other device."""
    return {device.device_type for device in tf.config.list_physical_devices()} <= {"CPU"}


def has_gpu() -> bool:
    """Tell whether this process computes on a GPU: whether TensorFlow lists one that it may use.

    To ask takes nothing of it. What computes a first number takes nearly all of its memory, for
    this process alone.
    """
    return bool(tf.config.get_visible_devices("GPU"))


# On a CPU barriers stand, and loops of single numbers are kernels.
ON_CPU = _on_cpu()
os.environ["XLA_FLAGS"] = _with_wishes(os.environ.get("XLA_FLAGS", ""), ON_CPU)

# The packed blocks are padded to a multiple of this, so that no cell is computed by the scalar
# remainder of a vector loop: its bits could differ there.
LANES = 16


def recording() -> bool:
    """Tell whether there is a gradient tape that may watch something."""
    return record.could_possibly_record()


_MOST_SHAPES = 64  # of what is traced once


class _Written:
    """Whether what is traced once is written out at each call."""

    out = False


@contextmanager
def written_out() -> Iterator[None]:
    """Have graphs hold the operations of what is traced once, for who reads them."""
    _Written.out = True
    try:
        yield
    finally:
        _Written.out = False


def traced_once(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return a function of tensors that is traced once for each shape of its arguments.

    All graphs call the same. Within a loop or a branch TensorFlow hands XLA its operations once for
    each shape too, and not at each call; XLA writes it out at each call. A tape that looks at the
    call sees the operations themselves.

    Args:
        function: Of its arguments alone, which are tensors; it returns a tensor or a tuple of them.
    """
    traced: dict[Any, Any] = {}

    # A user's `tf.function` may read it, and would read what is traced too.
    @tf.autograph.experimental.do_not_convert
    def call(*arguments: Tensor) -> Result:
        known = all(item.shape.is_fully_defined() for item in arguments)
        if not known or tf.executing_eagerly() or recording() or _Written.out:
            return function(*arguments)
        key = tuple((item.dtype, tuple(item.shape)) for item in arguments)
        if key not in traced:
            if len(traced) >= _MOST_SHAPES:
                traced.clear()
            with tf.init_scope(), tf.device(None):  # of no graph, so that it keeps none alive
                program: Any = tf.function(
                    function, autograph=False, experimental_attributes={"_noinline": True}
                )
                traced[key] = program.get_concrete_function(
                    *(tf.TensorSpec(item.shape, item.dtype) for item in arguments)
                )
        return traced[key](*arguments)

    return call


# Not `tf.custom_gradient`: each call of that in a graph registers a gradient for good, and with it
# keeps the graph.
@tf.RegisterGradient("XlaOptimizationBarrier")
def _through(_: tf.Operation, *upstream: Tensor) -> list[Tensor]:
    return list(upstream)


def materialize(x: Tensor) -> Tensor:
    """Return `x`, computed once and stored, rather than again inside each kernel that reads it.

    XLA takes chains of additions for cheap and repeats them in every consumer. The barrier has no
    public name in TensorFlow, which is one reason why its version is pinned.
    """
    return _barrier(x)


@traced_once
def _barrier(x: Tensor) -> Tensor:
    barrier: Any = xla.optimization_barrier(x)
    return barrier[0]


# XLA makes one kernel of a loop that touches fewer bytes.
_SMALL_LOOP = 1024


def following(number: Tensor, written: Sequence[Tensor]) -> Tensor:
    """Return a number plus 1, so that the loop that counts with it may hold barriers.

    XLA refuses a barrier in a loop that it makes one kernel of, and makes none where anything is
    sorted.

    Args:
        number: The number.
        written: What the loop computes anew each time.
    """
    size = sum(part.shape.num_elements() * part.dtype.size for part in written)
    if not ON_CPU or size >= _SMALL_LOOP:
        return number + 1
    return tf.sort(tf.stack([number, number + 1]))[1]


def held(nest: State) -> State:
    """Return the tensors of a nest, all behind one barrier.

    What a loop within another one returns goes through it: for each tensor that passes straight
    from the inner loop to the end of the outer one, TensorFlow would read the whole inner loop
    again, to see whether it has changed.
    """
    tensors = tf.nest.flatten(nest)
    behind: Any = tf.nest.pack_sequence_as(nest, xla.optimization_barrier(*tensors))
    return behind


def in_each_row(value: Tensor, row: Tensor | None) -> Tensor:
    """Return a value that is no product to what it is added to, and differs between rows.

    LLVM contracts a product and a sum to one operation, but not where all rows of a batch share the
    product: rows would then have other last bits than runs alone.

    Args:
        value: The value.
        row: What each row has of its own, in the value's shape or one to which it is spread.
    """
    return value if row is None else tf.where(tf.equal(row, row), value, np.nan)


def cast(value: Tensor | float, dtype: tf.DType | np.dtype) -> Tensor:
    """Return a value as a tensor; `tf.cast` would round a Python number to float32 on the way."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def spread(value: Tensor, shape: tf.TensorShape | tuple[int, ...]) -> Tensor:
    """Return a value in a shape; one that has it stays as it is, which spares operations."""
    return value if value.shape == shape else tf.broadcast_to(value, shape)


def rows_of(table: Tensor, start: Tensor, count: int) -> Tensor:
    """Return some rows of a table from a place on that a loop finds.

    Of a plain slice TensorFlow takes all arguments that lead to the place for constants, and
    compiles anew for other numbers in them. XLA's own operation is known to compiled code only.
    """
    if tf.executing_eagerly():
        return table[start : start + count]
    first = tf.stack([start, *[tf.zeros_like(start)] * (table.shape.rank - 1)])
    return xla.dynamic_slice(table, first, [count, *table.shape[1:]])


def row_of(table: Tensor, place: Tensor) -> Tensor:
    """Return one row of a table likewise."""
    return tf.reshape(rows_of(table, place, 1), table.shape[1:])


def number_of(table: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return one number of a table likewise."""
    if tf.executing_eagerly():
        return table[row, column]
    return tf.reshape(xla.dynamic_slice(table, tf.stack([row, column]), [1, 1]), [])


def put(buffer: Tensor, row: Tensor, value: Tensor) -> Tensor:
    """Return a buffer with one row replaced."""
    return stored(buffer, value[None], row)


def stored(buffer: Tensor, rows: Tensor, start: Tensor) -> Tensor:
    """Return a buffer with the rows from `start` on replaced.

    A scatter in a compiled loop copies the whole buffer each time, which XLA's own operation, known
    to compiled code only, does not.
    """
    if tf.executing_eagerly():
        places = start + tf.range(rows.shape[0], dtype=start.dtype)
        return tf.tensor_scatter_nd_update(buffer, places[:, None], rows)
    first = tf.stack([start, *[tf.zeros_like(start)] * (rows.shape.rank - 1)])
    return xla.dynamic_update_slice(buffer, rows, first)


class _Forking:
    """What this process has done: a child of `fork` has none of its parent's threads."""

    used = forked = False

    @classmethod
    def born(cls) -> None:
        """Note in a child of `fork` what its parent had done."""
        cls.forked = cls.used


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_Forking.born)


def begin_computing() -> None:
    """Refuse to compute in a process in which TensorFlow would wait for ever.

    Raises:
        RunError: It was forked from one that had computed.
    """
    if _Forking.forked:
        raise RunError(
            "this process was forked from one that had computed already, and TensorFlow's threads "
            "are not copied: it would wait for ever. Start processes with "
            "multiprocessing.get_context('spawn') (joblib: its default, 'loky')."
        )
    _Forking.used = True


# Below this many state variables one XLA thread is faster than two: XLA hands small kernels from
# thread to thread, which costs more than they do (docs/design/engine.md).
_ONE_THREAD_BELOW = 1_000_000


def choose_threads(variables: int) -> None:
    """Give XLA one thread for a small model, unless the user chose or TensorFlow runs already.

    Args:
        variables: Number of state variables of the model.
    """
    chosen = (
        tf.config.threading.get_intra_op_parallelism_threads()
        or "TF_NUM_INTRAOP_THREADS" in os.environ
    )
    if variables < _ONE_THREAD_BELOW and not chosen:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:
            return  # too late to choose: something has run in this process before


def choose_gpu(number: int) -> None:
    """Let this process use one of the machine's GPUs alone, and of its memory what it needs.

    Args:
        number: Of this process among those of the machine; with fewer GPUs some share one.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        chosen = gpus[number % len(gpus)]
        try:
            tf.config.set_visible_devices([chosen], "GPU")
            tf.config.experimental.set_memory_growth(chosen, True)
        except RuntimeError:
            return  # too late to choose: something has run in this process before


def device_of(number: int) -> str:
    """Return the device on which a process computes: its GPU, else one of its CPU's devices.

    Args:
        number: As for `choose_gpu`, which is called before. A CPU is one device, unless it was
            divided by `tf.config.set_logical_device_configuration`.
    """
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return devices[number % len(devices)].name


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Tell whether a value is a tensor or a variable, of Keras included."""
    return isinstance(value, (tf.Tensor, tf.Variable)) or (
        hasattr(type(value), "__tf_tensor__") and hasattr(value, "dtype")
    )


def watched(value: Tensor) -> bool:
    """Tell whether a gradient tape watches a tensor or a variable."""
    return record.should_record_backprop([tf.convert_to_tensor(value)])


def traced(
    function: Callable[[*Arguments], Result], *arguments: *Arguments
) -> Callable[[*Arguments], Result]:
    """Return a function compiled by XLA for arguments of those shapes, without what it closes over.

    XLA compiles it when it is first called.
    """
    program: Any = tf.function(function, jit_compile=True, autograph=False)
    collects = gc.isenabled()
    gc.disable()  # all that is made stays, and would be looked at again and again
    try:
        return program.get_concrete_function(*arguments)
    finally:
        if collects:
            gc.enable()


def called_flat(program: Callable[..., Any]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
    """Return a function that `traced` has made as one from flat tensors to flat tensors.

    That spares looking at each argument, which takes longer than a short run of the function.
    """
    known: Any = program
    captured = list(known.captured_inputs)
    call = known.inference_fn.call_flat  # no public way leads around the check of each argument
    return lambda tensors: call(*tensors, *captured)


def compiled(function: Callable[[*Arguments], Result]) -> Callable[[*Arguments], Result]:
    """Return a function compiled by XLA at its first call, for arguments of those shapes only.

    TensorFlow would look at every argument of every call, and warn of retracing where a process
    compiles many systems.
    """
    programs: list[Callable[[*Arguments], Result]] = []

    def call(*arguments: *Arguments) -> Result:
        if tf.config.functions_run_eagerly():  # somebody is looking for a fault
            return function(*arguments)
        if not programs:
            programs.append(traced(function, *arguments))
        return programs[0](*arguments)

    return call
