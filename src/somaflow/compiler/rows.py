"""Rows: networks of one structure side by side, as the rows of a batch axis of one program.

Each is compiled by itself as ever, so all that is checked is checked. What is put together then are
arrays: states, and the arguments of the compiled functions. Which of them have a row for each
network follows from what they are, never from their values: a network has the same bits whatever
the others are. What is in no list here is shared, and networks that differ in it are not put
together; what rows would share by mistake is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.graded import GradedCoupling
from somaflow.compiler.poisson import PoissonCoupling
from somaflow.compiler.pulsed import PulsedCoupling
from somaflow.compiler.states import DriveParameters, Parameters
from somaflow.network.recorder import Recorder
from somaflow.numerics.types import Nest
from somaflow.simulation.system import Array, Carry, System
from somaflow.solvers.base import Solver
from somaflow.solvers.exponential import ExponentialEuler
from somaflow.solvers.rosenbrock import RosenbrockW
from somaflow.solvers.runge_kutta import ExplicitRungeKutta
from somaflow.solvers.stochastic import EulerMaruyama, StochasticHeun

if TYPE_CHECKING:
    from somaflow.compiler.tables import Tables

# Forms of synapses and methods that were seen to give each row the bits of a run alone
# (tests/running/test_rows.py).
_COUPLINGS = (GradedCoupling, PoissonCoupling, PulsedCoupling)
_SOLVERS = (ExplicitRungeKutta, ExponentialEuler, EulerMaruyama, StochasticHeun, RosenbrockW)
_SUMS = ("dense", "gathered", "counts")

# What parameters are: of cells or synapses, matrices or lists of weights, the same that only count
# synapses, the seed, or shared.
NUMBERS, WEIGHTS, COUNTED, SEED, SHARED = "numbers", "weights", "counted", "seed", "shared"
Put = Callable[[str, list[Array]], Array]


def refusal(
    tables: "Tables", system: System, recorders: tuple[Recorder, ...], solver: Solver | None
) -> str:
    """Return why networks of this structure cannot be rows of one program; empty where they can.

    Args:
        tables: The tables of one of them.
        system: Its functions.
        recorders: What is recorded.
        solver: The method.
    """
    if tables.stacked is not None:
        return "these are rows already"
    if tables.batch:
        return "there are batch axes"
    if tables.before is not None:
        return "it goes on from the end of another run"
    if type(solver) not in _SOLVERS:
        return "of this method it is not known"
    if system.until is not None:
        return "it ends at a condition"
    if tables.network.links or tables.past.readers or system.parameters.rules:
        return "cells read others, or what was, or there are rules at intervals"
    if len(tables.owners) > len(tables.network.populations):
        return "there are events"
    if tables.network.clamps:
        return "there are voltage clamps"
    for coupling in tables.couplings:
        form = coupling.wiring.choice.form
        if type(coupling) not in _COUPLINGS or form not in _SUMS:
            return "there are synapses that are computed one by one, or that spikes move"
        if coupling.wiring.latest is not None or coupling.group.begun is not None:
            return "delays differ between synapses"
    return ""


class Likeness(NamedTuple):
    """What networks have in common whose parameters can be put together.

    Attributes:
        shapes: The shapes of all, and a checksum of those that all rows of a program share.
        counts: A checksum of the matrices that count synapses. Rows share them where they are
            equal, and else have each its own: a product with a count is exact, so that no bit
            depends on which.
    """

    shapes: str
    counts: str


def stacked(batch: System, systems: Sequence[System], wired: bool) -> System:
    """Return the functions of a batch with the state and the parameters of its rows.

    Args:
        batch: One of them, compiled for so many rows.
        systems: Each by itself.
        wired: Whether all have the same `counts` of likeness.
    """

    def put(kind: str, leaves: list[Array]) -> Array:
        if kind == COUNTED:
            kind = SHARED if wired else WEIGHTS
        return _in_rows(kind, leaves)

    every = [system.parameters for system in systems]
    start = tf.nest.map_structure(
        lambda like, *rows: _joined(like, rows, len(systems)),
        batch.initial,
        *(system.initial for system in systems),
    )
    own = [system.initial.event.noise for system in systems]
    # Noise begins alike in all rows of a batch that a user has made, and so has no axis there.
    start = start._replace(event=start.event._replace(noise=_each(own, np.stack)))
    return replace(batch, initial=start, parameters=_parameters(every, put))


def likeness(system: System) -> Likeness:
    """Return what networks have in common that can be rows of one program.

    Args:
        system: The functions of one network.
    """
    shapes, counts = blake2b(digest_size=16), blake2b(digest_size=16)

    def note(kind: str, leaves: list[Array]) -> Array:
        leaf = leaves[0]
        shapes.update(f"{leaf.dtype} {leaf.shape}".encode())
        if kind in (SHARED, COUNTED):
            (shapes if kind == SHARED else counts).update(leaf.tobytes())
        return leaf

    _parameters([system.parameters], note)
    return Likeness(shapes.hexdigest(), counts.hexdigest())


def weight_bytes(system: System, wired: bool = True) -> int:
    """Return the bytes of the weights that each row has for itself.

    Args:
        system: The functions of one network.
        wired: Whether rows share the matrices that count synapses.
    """
    own = (WEIGHTS, NUMBERS) if wired else (WEIGHTS, NUMBERS, COUNTED)
    return sum(
        array.nbytes
        for arrays in system.parameters.sums
        for name, array in arrays.items()
        if _kind(arrays, name) in own
    )


def _kind(arrays: Mapping[str, Array], name: str) -> str:
    """Return what an array of a coupling's synapses is."""
    if name == "weight":
        return COUNTED if "scale" in arrays else WEIGHTS
    return NUMBERS if name == "scale" else SHARED


def row(carry: Carry, like: Carry, place: int) -> Carry:
    """Return the state of one row, in the shapes of a network by itself.

    Args:
        carry: The state of all.
        like: That of a network by itself.
        place: Which row.
    """

    def own(leaf: Any, alone: Any) -> Any:
        array = np.asarray(leaf)
        if array.ndim == np.ndim(alone):
            return array
        return array[..., place, :] if np.ndim(alone) else array[place]

    return tf.nest.map_structure(own, carry, like)


def _joined(like: Any, rows: Sequence[Any], count: int) -> Array:
    """Return what a state has of each row, or what all share, in the shape of the batch's own."""
    first = np.asarray(rows[0])
    if np.shape(like) == first.shape:
        return first
    axis = max(first.ndim - 1, 0)
    assert np.shape(like) == (*first.shape[:axis], count, *first.shape[axis:])
    return np.stack([np.asarray(part) for part in rows], axis)


def _parameters(every: list[Parameters], put: Put) -> Parameters:
    """Return arguments made of those of several networks.

    Args:
        every: Of each.
        put: Makes one array of what each network has, and is told what it is.
    """

    def all_of(kind: str, name: str) -> Any:
        return _each([getattr(p, name) for p in every], lambda leaves: put(kind, leaves))

    def outside(name: str) -> Any:
        # Whole numbers say which cell has which: that all share.
        return _each(
            [getattr(p.drives, name) for p in every],
            lambda leaves: put(NUMBERS if leaves[0].dtype.kind == "f" else SHARED, leaves),
        )

    sums = [
        {name: put(_kind(tables[0], name), [t[name] for t in tables]) for name in tables[0]}
        for tables in zip(*(p.sums for p in every), strict=True)
    ]
    return Parameters(
        cells=all_of(NUMBERS, "cells"),
        synapses=all_of(NUMBERS, "synapses"),
        sums=sums,
        drives=DriveParameters(
            put(SEED, [p.drives.seed for p in every]),
            *(outside(name) for name in ("stimuli", "clamps", "sources", "counts")),
        ),
        refractory=all_of(NUMBERS, "refractory"),
        begun=all_of(SHARED, "begun"),
        recordings=all_of(SHARED, "recordings"),
        links=all_of(SHARED, "links"),
        rules=all_of(SHARED, "rules"),
    )


def _each(nests: Sequence[Nest], put: Callable[[list[Array]], Array]) -> Nest:
    return tf.nest.map_structure(lambda *leaves: put([np.asarray(x) for x in leaves]), *nests)


def _in_rows(kind: str, leaves: list[Array]) -> Array:
    """Return one array of those of several networks."""
    if kind == SHARED:
        return leaves[0]
    if kind == SEED:  # [2, n_networks, 1]
        return np.stack(leaves, axis=1)[..., None]
    if kind == WEIGHTS and leaves[0].ndim > 1:  # [n_pre, n_networks, n_post]
        return np.stack(leaves, axis=1)
    # One number, or one for each cell, of each network: [n_networks, 1 or n_cells].
    return np.stack(leaves)[:, None] if leaves[0].ndim == 0 else np.stack(leaves)
