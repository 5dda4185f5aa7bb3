"""Recordings: what recorders see of the state, and what they keep from step to step."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler.coupling import Location, Route
from somaflow.compiler.lower import Scope
from somaflow.compiler.states import Constants, Context, RecordingParameters, States
from somaflow.compiler.tables import Tables
from somaflow.equations.expression import Name
from somaflow.errors import NetworkError, UnknownNameError, nearest
from somaflow.network.projection import Projection
from somaflow.network.recorder import Recorder, check_edges
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array, Carry, Inputs

if TYPE_CHECKING:
    from somaflow.compiler.step import NetworkDynamics

_JOIN = {"mean": tf.add, "max": tf.maximum, "min": tf.minimum}


class Frame:
    """What can be seen at one moment; each part is computed when it is first asked for.

    Args:
        dynamics: The functions of the network.
        carry: The state.
        step: The number of steps made before.
        drive: The inputs at this moment.
        constants: What is computed once a chunk.
    """

    def __init__(
        self,
        dynamics: "NetworkDynamics",
        carry: Carry,
        step: Tensor,
        drive: Inputs,
        constants: Constants,
    ) -> None:
        self.dynamics, self.carry, self.step = dynamics, carry, step
        self.drive, self.constants = drive, constants

    @cached_property
    def states(self) -> list[States]:
        """The states of each population by name."""
        return self.dynamics.states_at_node(
            self.carry.flow, self.drive.nodes, self.context, self.constants
        )

    @cached_property
    def sums(self) -> list[object]:
        """The sums of each coupling. At a step's start only: what events have left open."""
        return self.dynamics.sums(self.states, self.context, -1, self.constants)

    @cached_property
    def context(self) -> Context:
        """What has arrived and what is drawn, each when it is asked for."""
        return self.dynamics.look(self.carry, self.step, self.drive.steps, self.constants)

    @cached_property
    def scopes(self) -> list[Scope]:
        """What evaluates the equations of each population."""
        return self.dynamics.scopes(
            self.states, self.sums, self.drive.nodes, self.context, self.constants
        )


@dataclass(frozen=True)
class View:
    """What one recorder looks at.

    Attributes:
        read: Takes it out of a frame, `[..., width]` or a scalar.
        width: Length of the last axis to which what is read is broadcast, padding included; None
            where it has all its numbers.
        places: Which of them are recorded.
        axis: Name of that axis in the results: `cell`, `synapse`, `pre` or `post`.
        labels: Coordinates along the axis by name.
        unit: Unit of the variable.
    """

    unseen = ("places", "labels")

    read: Callable[[Frame], Tensor]
    width: int | None
    places: Array
    axis: str
    labels: dict[str, Array]
    unit: str


def look(tables: Tables, recorder: Recorder) -> View:
    """Find what a recorder looks at.

    Raises:
        UnknownNameError: There is no such projection.
        NetworkError: There is no such synapse.
    """
    if not recorder.of_projection:
        return _of_cells(tables, recorder)
    view, chosen = _of_projection(tables, recorder), recorder.cells
    if chosen is None:
        return view
    size = len(view.places)
    for bad in chosen[(chosen < 0) | (chosen >= size)][:1]:
        thing = {"synapse": "synapses", "pre": "presynaptic cells"}.get(view.axis)
        raise NetworkError(
            f"{recorder.key!r} is recorded of {bad}, but projection {recorder.owner!r} has {size} "
            f"{thing or 'postsynaptic cells'} (0 to {size - 1})."
        )
    labels = {name: values[chosen] for name, values in view.labels.items()}
    return View(view.read, view.width, view.places[chosen], view.axis, labels, view.unit)


def _of_cells(tables: Tables, recorder: Recorder) -> View:
    k, name = tables.place[recorder.owner], recorder.variable
    layout, equations = tables.layouts[k], tables.populations[k].equations
    cells = np.arange(layout.size) if recorder.cells is None else recorder.cells

    def read(frame: Frame) -> Tensor:
        if name in equations.states:
            return frame.states[k][name]
        if name in equations.inputs:
            return frame.scopes[k](Name(name))
        return frame.scopes[k](equations.definitions[name].expression)

    return View(read, layout.padded, cells, "cell", {"cell": cells}, equations.unit(name))


def _of_projection(tables: Tables, recorder: Recorder) -> View:
    c, route, projection = _find(tables, recorder.owner)
    coupling, name = tables.couplings[c], recorder.variable
    unit = projection.equations.unit(name)
    sides = {"pre": projection.pre.cells, "post": projection.post.cells}
    first = tables.populations[route.target].first
    if tables.share is not None:
        sides["post"] = tables.share.cells(projection.post)
        if coupling.group.here is not None:
            sides["pre"] = tables.share.cells(projection.pre)
    if name in projection.equations.states:
        location = coupling.variable(name, route)
    else:
        location = Location("post", lambda *_: None)

    def read(frame: Frame) -> Tensor:
        group = coupling.group
        if name in projection.equations.states:
            event = frame.carry.event.groups.get(group.key)
            return location.read(event, frame.states[group.source])
        table = frame.constants.routes[route.projection]
        return coupling.current(route, frame.states[route.target], frame.sums[c], table)

    axis = location.axis
    if location.places is not None:
        share = tables.share
        pairs = (
            projection.connections()
            if share is None
            else share.pairs(coupling.group.key, projection)
        )
        labels = {"synapse": np.arange(len(pairs)), "pre": pairs.pre, "post": pairs.post}
        return View(read, None, location.places, axis, labels, unit)
    owner = coupling.group.source if axis == "pre" else route.target
    width = tables.layouts[owner].padded
    share, group = tables.share, coupling.group
    every = share is not None and axis == "pre" and group.here is None
    if share is not None and every and (group.delay or group.key in share.staged):
        width = share.width(tables.populations[owner].name)
    # Cells have the numbers of the whole; what is computed here begins with the first that is here.
    if axis == "pre":
        first = 0 if coupling.group.here is None else tables.populations[owner].first
    places = sides[axis] - first
    return View(read, width, places, axis, {axis: sides[axis]}, unit)


def _find(tables: Tables, name: str) -> tuple[int, Route, Projection]:
    for c, coupling in enumerate(tables.couplings):
        # A Poisson input has a route and no projection.
        for member, route in zip(coupling.group.members, coupling.group.routes, strict=False):
            if route.projection == name:
                return c, route, member.projection
    known = [str(projection.name) for projection in tables.network.projections]
    raise UnknownNameError(f"the network has no projection {name!r}.{nearest(name, known)}")


class Recordings:
    """What a run's recorders ask for, apart from spikes.

    Args:
        tables: The tables of the network, after `initial`.
        recorders: The recorders.
        start: Steps made before the run.
    """

    unseen = ("start",)

    def __init__(self, tables: Tables, recorders: tuple[Recorder, ...], start: int) -> None:
        self.tables, self.batch, self.dtype = tables, tables.batch, tf.as_dtype(tables.dtype)
        self.wanted = tuple(r for r in recorders if not r.of_spikes)
        self.views = {r.key: look(tables, r) for r in self.wanted}
        self.steps = {
            r.key: 1 if r.interval is None else whole_steps(r.interval, tables.dt, repr(r.key))
            for r in self.wanted
        }
        self.followed = tuple(r for r in self.wanted if r.over_time is not None)
        self.counts = {key: len(view.places) for key, view in self.views.items()}
        self.start = start

    def parameters(self) -> RecordingParameters:
        """Return what the compiled functions take as arguments.

        That is the places of what is recorded, where it is not the beginning of an axis (there may
        be one for each synapse), the edges of histograms, and the steps made before the run.
        """
        places = {
            key: view.places.astype(np.int32)
            for key, view in self.views.items()
            if not np.array_equal(view.places, np.arange(len(view.places)))
        }
        edges = {
            r.key: edges_of(r, self.views[r.key].unit).astype(self.dtype.as_numpy_dtype)
            for r in self.wanted
            if r.reduction == "histogram"
        }
        return RecordingParameters(places, edges, np.asarray(self.start, np.int64))

    def initial(self) -> dict[str, Array]:
        """Return what is kept from step to step: sums or extremes over time, all 0."""
        zeros = {}
        for r in self.followed:
            view = self.views[r.key]
            shape: tuple[int, ...] = (*self.batch, len(view.places))
            if r.reduction is not None and not r.time_first:
                shape = (*self.batch, len(r.edges.value) - 1) if r.edges else self.batch
            counted = r.reduction == "histogram" and not r.time_first
            kind = np.int32 if counted else self.dtype.as_numpy_dtype
            # A sum of many float32 would lose digits.
            zeros[r.key] = np.zeros(shape, np.float64 if r.over_time == "mean" else kind)
        return zeros

    def follow(self, frame: Frame) -> dict[str, Tensor]:
        """Return what is kept after a step, `frame` being the state at its end."""
        kept = {}
        for r in self.followed:
            old, value = frame.carry.kept[r.key], self._before_time(r, frame)
            fresh = tf.equal(tf.math.floormod(frame.step - 1, self.steps[r.key]), 0)
            value = tf.cast(value, old.dtype)
            joined = _JOIN[str(r.over_time)](old, value)
            kept[r.key] = tf.where(fresh, value, joined)
        return kept

    def observe(self, frame: Frame) -> dict[str, Tensor]:
        """Return a sample of each recording."""
        samples = {}
        for r in self.wanted:
            value = self._before_time(r, frame)
            if r.over_time is not None:
                kept = frame.carry.kept[r.key]
                if r.over_time == "mean":
                    value = tf.cast(value, self.dtype)
                    kept = tf.cast(kept / self.steps[r.key], self.dtype)
                start = frame.constants.recordings.start
                value = tf.where(tf.equal(frame.step, start), value, kept)
                if r.time_first:
                    value = self._over_cells(r, value, frame)
            samples[r.key] = value
        return samples

    def _before_time(self, r: Recorder, frame: Frame) -> Tensor:
        """Return what is reduced over time, or recorded if nothing is."""
        view = self.views[r.key]
        value = cast(view.read(frame), self.dtype)
        if view.width is not None:
            value = tf.broadcast_to(value, (*self.batch, view.width))
        places = frame.constants.recordings.places.get(r.key)
        if places is None:
            value = value[..., : self.counts[r.key]]
        else:
            value = tf.gather(value, places, axis=-1)
        return value if r.time_first else self._over_cells(r, value, frame)

    def _over_cells(self, r: Recorder, value: Tensor, frame: Frame) -> Tensor:
        match r.reduction:
            case "mean":
                return tf.reduce_mean(value, -1)
            case "sum":
                return tf.reduce_sum(value, -1)
            case "histogram":
                return histogram(value, frame.constants.recordings.edges[r.key])
        return value


def edges_of(recorder: Recorder, unit: str) -> Array:
    """Return the edges of a histogram of a variable in the coherent system.

    Raises:
        UnitError: They are in another unit than the variable.
    """
    edges = check_edges(recorder.edges)
    given = edges.value if edges.unit == "1" else edges  # plain numbers mean the variable's unit
    return units.parameter(given, unit, "edges", repr(recorder.key)).value


def histogram(x: Tensor, edges: Tensor) -> Tensor:
    """Return how many of the last axis of x are in each bin, int32 of shape `[..., n_bins]`."""
    above: Tensor = tf.reduce_sum(tf.cast(x[..., None, :] >= edges[:, None], tf.int32), -1)
    over: Tensor = tf.reduce_sum(tf.cast(x > edges[-1], tf.int32), -1)  # the last bin is closed
    upper = tf.concat([above[..., 1:-1], over[..., None]], -1)
    return above[..., :-1] - upper
