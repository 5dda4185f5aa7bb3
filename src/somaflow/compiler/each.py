"""The synapses of a projection, each by itself: where they are, and what differs between them."""

import numpy as np

from somaflow.compiler.layout import padded
from somaflow.compiler.wiring import checksum
from somaflow.equations.equations import Equations
from somaflow.errors import NetworkError
from somaflow.network.choice import Choice
from somaflow.network.connections import Connections
from somaflow.network.projection import Projection
from somaflow.network.synaptic import varied_delays
from somaflow.numerics.sums import gathered, weighted_sum
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.units import Parameter


class Each:
    """The synapses of one projection, in the order of `connections()`.

    Args:
        projection: The projection.
        connections: Its synapses, all of them.
        chosen: What the synapses cost.
        n_pre: Number of presynaptic cells, padding included.
        width: Number of postsynaptic cells, padding included.
        dt: The step in ms.
        dtype: NumPy type of the run.

    Attributes:
        arrays: `pre` and `post`, the cells of each synapse; `weight` and `sources`, which synapses
            reach each postsynaptic cell, `[largest in-degree, width]`; `delay` in steps, where
            delays differ.
        count: Number of synapses; `size` includes padding, copies of the last one.
        latest: None: no sum is under way, but spikes.
        longest: The longest delay in steps.
        values: Parameters by name, one number or one for each synapse.
        start: Initial values of the states likewise.
        wired: The cells and the delays of all synapses, as a checksum.
        began: The weights with which they begin, likewise; empty where these do not change.
    """

    unseen = ("arrays", "values", "start", "wired", "began", "count")
    latest = None

    def __init__(
        self,
        projection: Projection,
        connections: Connections,
        chosen: Choice,
        n_pre: int,
        width: int,
        dt: float,
        dtype: np.dtype,
    ) -> None:
        self.n_pre, self.width, self.dtype = n_pre, width, dtype
        self.count = len(connections)
        self.size = padded(max(self.count, 1))
        self.wired = checksum(connections.pre, connections.post, connections.delay)
        ones = np.ones(self.count, self.dtype)
        self.arrays = gathered(np.arange(self.count), connections.post, ones, self.size, width)
        self.arrays |= {
            "pre": self._filled(connections.pre, 0).astype(np.int32),
            "post": self._filled(connections.post, 0).astype(np.int32),
        }
        steps = np.rint(connections.delay / dt).astype(np.int32)
        self.longest = int(steps.max(initial=0))
        self.varied = varied_delays(projection)
        if self.varied:
            self.arrays["delay"] = self._filled(steps, 0)
        equations, weight = projection.equations, projection.weight_name
        numbers = {name: Parameter(v, equations.unit(name)) for name, v in connections.own.items()}
        if weight is not None:
            numbers[weight] = Parameter(np.asarray(connections.coherent), equations.unit(weight))
        self._resolve(equations(**numbers), projection)
        self.began = checksum(self.start[weight]) if weight in self.start else ""
        self.choice = chosen._replace(bytes=sum(a.nbytes for a in self.arrays.values()))

    def _resolve(self, equations: Equations, projection: Projection) -> None:
        """Hold the parameters and initial values of each synapse."""
        first = {name: p for name, p in equations.parameters.items() if p.value.ndim}
        self.values = {
            name: self._filled(p.value, 1.0) if name in first else p.value
            for name, p in equations.parameters.items()
        }
        self.values = {name: v.astype(self.dtype) for name, v in self.values.items()}
        start = equations.initial_values({}, projection.synapse_name)
        for name, value in (*self.values.items(), *start.items()):
            if not np.all(np.isfinite(value)):
                raise NetworkError(
                    f"projection {projection.name!r}: {name!r} of a synapse is not finite."
                )
        self.start = {
            name: np.broadcast_to(self._filled(np.asarray(value), 0.0), (self.size,))
            for name, value in start.items()
        }

    def _filled(self, values: Array, nothing: float) -> Array:
        """Return values of all synapses with those of the padding, copies of the last one."""
        values = np.asarray(values)
        if values.ndim == 0:
            return values
        if not len(values):
            return np.full(self.size, nothing, values.dtype)
        return np.pad(values, (0, self.size - len(values)), mode="edge")

    def sum(self, arrays: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the sum of what the synapses of each postsynaptic cell have, `[..., width]`."""
        return weighted_sum(arrays["weight"], arrays["sources"], x)
