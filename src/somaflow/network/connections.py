"""Connections: the synapses of a projection, written out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.network.wiring import Indices


@dataclass(frozen=True)
class Connections:
    """The synapses of a projection, ordered by postsynaptic and then presynaptic cell.

    A weight or a delay that is one number for all takes no memory.

    Attributes:
        pre: Presynaptic cell of each synapse, index into the whole population, int32, shape [n].
        post: Postsynaptic cell, likewise.
        weight: Weight of each synapse in the coherent system, shape [n]; 1 where the synapse has
            no weight.
        delay: Delay of each synapse in ms, shape [n].
        shape: Sizes of the presynaptic and the postsynaptic population.
        unit: The unit in which the synapse declares its weight; `"1"` where it has none.
    """

    pre: Indices
    post: Indices
    weight: NDArray[np.float64]
    delay: NDArray[np.float64]
    shape: tuple[int, int]
    unit: str

    def to_scipy(self) -> Any:
        """Return a `scipy.sparse.csr_array` [n_pre, n_post] of the weights in `unit`.

        A synapse of weight 0 is an entry too, so that `sf.FromSparse` wires alike.

        Raises:
            ImportError: The package scipy is not installed.
        """
        try:
            import scipy.sparse  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ImportError("to_scipy needs the package scipy: pip install scipy") from error
        make: Any = scipy.sparse.csr_array
        return make((self.weight / units.factor(self.unit), (self.pre, self.post)), self.shape)

    def table(self) -> Any:
        """Return an `xarray.Dataset` of `pre`, `post`, `weight` and `delay` along `synapse`.

        Weights are in `unit`, delays in ms; each variable says so in its attribute `units`.
        """
        import xarray as xr  # noqa: PLC0415 - slow to load

        columns = {
            "pre": (self.pre, None),
            "post": (self.post, None),
            "weight": (self.weight / units.factor(self.unit), self.unit),
            "delay": (self.delay, "ms"),
        }
        return xr.Dataset(
            {
                name: ("synapse", values, {} if unit is None else {"units": unit})
                for name, (values, unit) in columns.items()
            }
        )

    def __len__(self) -> int:
        return len(self.pre)
