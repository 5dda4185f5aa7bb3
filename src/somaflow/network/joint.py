"""Joint distributions: several values of one cell, or one synapse, that are drawn together.

Each is a `Distribution` by itself, so it goes wherever one goes. What makes them joint is that they
share a seed, and that their draws take no account of what each is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.equations.drawing import Distribution, Joint, Marginal, Negated
from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.distributions import standard_normal
from somaflow.network.fields import Field
from somaflow.network.random import JOINT, Counter, Stream, below, check_own_seed, derive
from somaflow.units import Parameter

_ROUNDING = 1e-9  # of a correlation that is computed from a covariance


@dataclass(frozen=True, eq=False, repr=False)
class CorrelatedComponent(Distribution):
    """One of several correlated distributions; `Correlated` makes them.

    Args:
        of: What the values are distributed as.
        factors: By what to multiply independent standard normal numbers, the first ones of all
            components, to sum to the one of this component.
        together: The names of all components.
        seed: That of the draw.
    """

    of: Marginal
    factors: tuple[float, ...]
    together: tuple[str, ...]
    seed: int | None = None

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.of.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return self.of.lowest

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return self.of.highest

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit, whatever it is for."""
        shape = np.broadcast_shapes(np.shape(counter[0]), np.shape(counter[1]))
        total = np.zeros(shape)
        for k, factor in enumerate(self.factors):
            if factor:
                total = total + factor * standard_normal(self.seed, (JOINT, k), counter)
        return Parameter(np.asarray(self.of.at(total)), self.unit)

    def __repr__(self) -> str:
        return f"{self.of!r} of Correlated({', '.join(self.together)})"


@dataclass(frozen=True, eq=False, repr=False)
class Correlated(Joint):
    """Distributions that are correlated, each by itself being as it is given.

    Standard normal numbers with the given correlations are turned into the values of each
    distribution by a rising function. So those that are `Normal` are multivariate normal together,
    and of those that are `LogNormal` the logarithms are; of others the ranks are correlated as
    those of normal numbers, by 6/pi*arcsin(r/2).

    Cario MC, Nelson BL (1997) Modeling and generating random vectors with arbitrary marginal
    distributions and correlation matrix. Technical report, Northwestern University.

    Args:
        distributions: Each by its name: `Normal`, `LogNormal`, `Uniform` or `FromSciPy`, or minus
            one of them. Those with bounds, and the last two, need the package scipy.
        correlation: The correlations of the normal numbers; shape [n, n], in the same order.
        seed: The values depend on it and their place alone. Default: one for each population and
            projection, from the network's seed, its name and the names given here.

    Raises:
        WrongTypeError: Something else is given, or a distribution has a seed of its own.
        NetworkError: The correlation is not symmetric with 1 on its diagonal, or no correlation at
            all: numbers with it would have a negative variance.
    """

    distributions: Field[dict[str, Marginal]]
    correlation: Field[NDArray[np.float64]]
    seed: int | None = None

    def __post_init__(self) -> None:
        distributions = _by_name(self.distributions, "Correlated", "a distribution")
        for name, value in distributions.items():
            of = value.of if isinstance(value, Negated) else value
            if not isinstance(of, Marginal):
                raise WrongTypeError(
                    f"{name!r} of Correlated is {shown(value)}; give a Normal, a LogNormal, a "
                    "Uniform or a FromSciPy."
                )
            if getattr(of, "seed", None) is not None:
                raise WrongTypeError(f"{name!r} of Correlated has a seed; give it to Correlated.")
        matrix = given.array(self.correlation)
        size = len(distributions)
        if matrix is None or matrix.dtype.kind not in "iuf" or matrix.shape != (size, size):
            raise WrongTypeError(
                f"the correlation of {size} distributions is an array of numbers of shape "
                f"[{size}, {size}], not {shown(self.correlation)}."
            )
        matrix = matrix.astype(np.float64)
        even = np.abs(matrix - matrix.T).max() <= _ROUNDING
        if not (even and np.abs(np.diag(matrix) - 1).max() <= _ROUNDING):
            raise NetworkError(
                f"a correlation is symmetric, with 1 on its diagonal, not {shown(self.correlation)}"
                ". Of a covariance C it is C/np.outer(sd, sd) with sd = np.sqrt(np.diag(C))."
            )
        matrix.flags.writeable = False
        object.__setattr__(self, "distributions", distributions)
        object.__setattr__(self, "correlation", matrix)
        object.__setattr__(self, "seed", check_own_seed(self.seed))
        _root(matrix)

    def keys(self) -> tuple[str, ...]:
        """Return the names, so that `model(**joint)` takes all of them."""
        return tuple(self.distributions)

    def __getitem__(self, name: str) -> CorrelatedComponent:
        """Return one of the distributions, to be given as a value.

        Raises:
            UnknownNameError: There is none of this name.
        """
        _check_name(self, name)
        place = self.keys().index(name)
        factors = tuple(_root(self.correlation)[place, : place + 1].tolist())
        return CorrelatedComponent(self.distributions[name], factors, self.keys(), self.seed)


@dataclass(frozen=True, eq=False, repr=False)
class EmpiricalComponent(Distribution):
    """One column of measured samples; `Empirical` makes them.

    Args:
        values: The values of the samples, shape [n_samples].
        together: The names of all columns.
        seed: That of the draw.
    """

    values: Parameter
    together: tuple[str, ...]
    seed: int | None = None

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.values.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return float(self.values.value.min())

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return float(self.values.value.max())

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit, whatever it is for."""
        rows = below(len(self.values.value), derive(self.seed, JOINT), counter)
        return Parameter(self.values.value[rows], self.unit)

    def __repr__(self) -> str:
        names = ", ".join(self.together)
        return f"{len(self.values.value)} values in {self.unit} of Empirical({names})"


@dataclass(frozen=True, eq=False, repr=False)
class Empirical(Joint):
    """Measured samples, of which each cell or synapse gets one, all values of it together.

    Each sample is equally probable, and may be drawn any number of times (a bootstrap).

    Args:
        samples: Each column by its name, `{"g_Na": [...]*nS, "g_K": [...]*nS}`; row k of all is
            sample k. One column alone is one distribution.
        seed: As for `Correlated`.

    Raises:
        WrongTypeError: Something else is given.
        NetworkError: There are no samples, or columns of different lengths.
    """

    samples: Field[dict[str, Parameter]]
    seed: int | None = None

    def __post_init__(self) -> None:
        samples = _by_name(self.samples, "Empirical", "an array of samples")
        samples = {k: units.parameter(v, None, k, "Empirical") for k, v in samples.items()}
        shapes = {column.value.shape for column in samples.values()}
        shape = min(shapes)
        if len(shapes) > 1 or len(shape) != 1 or not shape[0]:
            raise NetworkError(
                "Empirical takes one value or more of each sample under each name, not shapes "
                f"{', '.join(str(list(column.value.shape)) for column in samples.values())}."
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "seed", check_own_seed(self.seed))

    def keys(self) -> tuple[str, ...]:
        """Return the names, so that `model(**joint)` takes all of them."""
        return tuple(self.samples)

    def __getitem__(self, name: str) -> EmpiricalComponent:
        """Return one of the distributions, to be given as a value.

        Raises:
            UnknownNameError: There is none of this name.
        """
        _check_name(self, name)
        return EmpiricalComponent(self.samples[name], self.keys(), self.seed)


def _by_name(value: Any, kind: str, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value or not all(isinstance(k, str) for k in value):
        raise WrongTypeError(
            f"{kind} takes {what} for each name, {{'a': ..., 'b': ...}}, not {shown(value)}."
        )
    return dict(value)


def _check_name(joint: Joint, name: str) -> None:
    if name not in (names := joint.keys()):
        raise UnknownNameError(f"{joint!r} has no {shown(name)}.{nearest(name, names)}")


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower triangular matrix that times its transpose is a correlation.

    Raises:
        NetworkError: There is none.
    """
    root = np.zeros_like(matrix)
    for k in range(len(matrix)):
        rest = matrix[k:, k] - (root[k:, :k] * root[k, :k]).sum(axis=1)
        if rest[0] > _ROUNDING:
            root[k:, k] = rest / np.sqrt(rest[0])
        elif np.abs(rest).max() > np.sqrt(_ROUNDING):  # nothing is left of it, so no covariance
            raise NetworkError(
                f"{matrix.tolist()} is no correlation: numbers that have it would have a negative "
                "variance. Its eigenvalues must be at least 0."
            )
    return root
