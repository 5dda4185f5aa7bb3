"""Connections: the synapses of a projection, written out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.network.wiring import Indices

if TYPE_CHECKING:  # slow to load, or optional
    import xarray as xr
    from scipy.sparse import csr_array


@dataclass(frozen=True, repr=False)
class Connections:
    """The synapses of a projection, ordered by postsynaptic and then presynaptic cell.

    A weight or a delay that is one number for all takes no memory.

    Attributes:
        pre: Presynaptic cell of each synapse, index into the whole population, int32, shape [n].
        post: Postsynaptic cell, likewise.
        coherent: Weight of each synapse in the coherent system, as a run takes it; shape [n].
        delay: Delay of each synapse in ms, shape [n].
        shape: Sizes of the presynaptic and the postsynaptic population.
        unit: The unit in which the synapse declares its weight; `"1"` where it has none.
        own: Parameters and initial values that may differ between synapses, by name, in the
            coherent system; shape [n].
    """

    pre: Indices
    post: Indices
    coherent: NDArray[np.float64]
    delay: NDArray[np.float64]
    shape: tuple[int, int]
    unit: str
    own: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each synapse in `unit`, shape [n]; 1 where the synapse has no weight."""
        if self.coherent.strides == (0,) and len(self):
            return np.broadcast_to(self.coherent[0] / units.factor(self.unit), self.coherent.shape)
        return self.coherent / units.factor(self.unit)

    def to_scipy(self) -> "csr_array":
        """Return a `scipy.sparse.csr_array` [n_pre, n_post] of the weights in `unit`.

        A synapse of weight 0 is an entry too, so that `sf.FromSparse` wires alike.

        Raises:
            ImportError: The package scipy is not installed.
        """
        try:
            import scipy.sparse  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ImportError("to_scipy needs the package scipy: pip install scipy") from error
        return scipy.sparse.csr_array((self.weight, (self.pre, self.post)), self.shape)

    def table(self) -> "xr.Dataset":
        """Return an `xarray.Dataset` of `pre`, `post`, `weight` and `delay` along `synapse`.

        Weights are in `unit`, delays in ms; each variable says so in its attribute `units`.
        """
        import xarray  # noqa: PLC0415 - slow to load

        columns = {
            "pre": (self.pre, None),
            "post": (self.post, None),
            "weight": (self.weight, self.unit),
            "delay": (self.delay, "ms"),
        }
        return xarray.Dataset(
            {
                name: ("synapse", values, {} if unit is None else {"units": unit})
                for name, (values, unit) in columns.items()
            }
        )

    def __len__(self) -> int:
        return len(self.pre)

    def __repr__(self) -> str:
        weights = _range(self.weight, self.unit)
        return (
            f"Connections({len(self)} synapses, weight {weights}, delay {_range(self.delay, 'ms')})"
        )


def _range(values: NDArray[np.float64], unit: str) -> str:
    """Write the least and the greatest of some values."""
    ends = [
        f"{float(end):.6g}" for end in (values.min(initial=np.inf), values.max(initial=-np.inf))
    ]
    ends = dict.fromkeys(ends) if len(values) else ["none"]
    return " to ".join(ends) + ("" if unit == "1" or not len(values) else f" {unit}")
