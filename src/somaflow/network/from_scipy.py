"""Distributions of SciPy, drawn by the inverse of their distribution function."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.drawing import Marginal
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import has, is_number, shown
from somaflow.network.bounds import between, bounds_of, check_share, hold_bounds
from somaflow.network.fields import Field, default
from somaflow.network.random import Counter, Stream, check_own_seed, derive, part_of, uniform_of
from somaflow.units import Parameter


def scipy_special(what: str) -> Any:
    """Return the module `scipy.special`.

    Args:
        what: What needs it, for the message.

    Raises:
        ImportError: The package scipy is not installed.
    """
    try:
        import scipy.special  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ImportError(f"{what} needs the package scipy: pip install scipy") from error
    return scipy.special


def _scipy_stats() -> Any:
    scipy_special("FromSciPy")
    import scipy.stats  # noqa: PLC0415 - optional

    return scipy.stats


class SciPyDistribution(TypedDict):
    """A distribution of `scipy.stats`.

    Attributes:
        name: Its name there.
        arguments: All its arguments by name, `loc` and `scale` among them.
    """

    name: str
    arguments: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class FromSciPy(Marginal):
    """Values from a distribution of `scipy.stats`: gamma, exponential, beta, Poisson or any other.

    A value is the inverse of the distribution function at one uniform number, cut to the part
    between the bounds if there are any. The last digits may differ between versions of SciPy. A
    value takes about 1 us (gamma, beta; Poisson 3 us), and 2 ms where SciPy knows no inverse and
    searches (von Mises).

    Args:
        distribution: A distribution of one variable with its arguments, such as
            `scipy.stats.gamma(2, scale=3)`, `scipy.stats.expon()` or `scipy.stats.poisson(4)`.
        scale: What its values are multiplied by, above 0: their unit, such as `mV`, or a quantity.
            Default: they are pure numbers.
        seed: The values depend on it and their place alone. Default: a seed of its own, from the
            network's seed and from the names of what the values are for.
        low: No value is below; None means no bound.
        high: No value is above; None means no bound.

    Raises:
        WrongTypeError: It is no such distribution.
        UnitError: The scale and a bound have different units.
        NetworkError: The numbers make no distribution, or fewer than 1 in 100 values lie between
            the bounds.
        ImportError: The package scipy is not installed.
    """

    distribution: Field[SciPyDistribution]
    scale: Field[Parameter] = default(1)
    seed: int | None = None
    low: Field[Parameter | None] = default(None)
    high: Field[Parameter | None] = default(None)
    _frozen: Any = field(init=False, repr=False)  # of SciPy, which need not be installed
    _ends: tuple[float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        setter = object.__setattr__
        given: object = self.distribution
        setter(self, "distribution", given if type(given) is dict else _read(given))
        setter(self, "_frozen", _built(self.distribution))
        scale = units.parameter(self.scale, None, "scale", "FromSciPy")
        if scale.value.ndim or not scale.value > 0:
            raise NetworkError(
                f"the scale of FromSciPy is {scale}; give one above 0. A minus sign goes before "
                "the whole, -sf.FromSciPy(...)."
            )
        setter(self, "scale", scale)
        setter(self, "seed", check_own_seed(self.seed))
        hold_bounds(self, scale.unit)
        low, high = (bound / float(scale.value) for bound in bounds_of(self))
        if not has(self._frozen.dist, "pdf"):  # of whole numbers, the bounds being among them
            low, high = np.round(low, 9) - 5e-10, np.round(high, 9) + 5e-10  # bounds are within
        setter(self, "_ends", (float(self._frozen.cdf(low)), float(self._frozen.cdf(high))))
        check_share(self, self._ends[1] - self._ends[0])

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.scale.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return max(float(self._frozen.support()[0] * self.scale.value), bounds_of(self)[0])

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return min(float(self._frozen.support()[1] * self.scale.value), bounds_of(self)[1])

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit."""
        u = uniform_of(derive(self.seed, part_of(stream, 0)), counter)
        return Parameter(self._inverse(u), self.unit)

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at standard normal numbers."""
        return self._inverse(scipy_special("FromSciPy").ndtr(z))

    def _inverse(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self._frozen.ppf(between(u, self._ends)) * self.scale.value
        return np.clip(values, self.lowest, self.highest)

    def __repr__(self) -> str:
        others = (f"{name}={getattr(self, name)}" for name in ("scale", "seed", "low", "high"))
        return f"FromSciPy({_written(self.distribution)}, {', '.join(others)})"


def _written(distribution: SciPyDistribution) -> str:
    arguments = (f"{name}={value:g}" for name, value in distribution["arguments"].items())
    return f"{distribution['name']}({', '.join(arguments)})"


def _read(given: object) -> SciPyDistribution:
    """Return what a distribution of SciPy that has its arguments is called, and they.

    Raises:
        WrongTypeError: It is none of one variable, or none that SciPy has under its name.
    """
    frozen: Any = given
    kind: Any = frozen.dist if has(frozen, "dist") else None
    name = str(kind.name) if has(kind, "name") else ""
    if not name or type(getattr(_scipy_stats(), name, None)) is not type(kind):
        raise WrongTypeError(
            "FromSciPy takes a distribution of scipy.stats of one variable, with its arguments, "
            f"such as scipy.stats.gamma(2), not {shown(given)}. Measured values go to "
            "sf.Empirical, and several variables to sf.Correlated."
        )
    names = [*(kind.shapes.split(", ") if kind.shapes else ()), "loc"]
    places: dict[str, Any] = {"loc": 0.0}
    if has(kind, "pdf"):
        names, places = [*names, "scale"], places | {"scale": 1.0}
    places |= dict(zip(names, frozen.args, strict=False)) | frozen.kwds
    # Whole numbers become floats, so that one distribution has one form.
    numbers = {k: float(v) if is_number(v) else v for k, v in places.items()}
    return {"name": name, "arguments": {key: numbers[key] for key in names}}


def _built(distribution: Any) -> Any:
    """Return the distribution of SciPy that goes by a name and arguments.

    Raises:
        WrongTypeError: There is none.
        NetworkError: The arguments are no numbers, or none that it takes.
    """
    stats = _scipy_stats()
    if set(distribution) != SciPyDistribution.__required_keys__:
        raise WrongTypeError(f"FromSciPy takes a distribution of scipy.stats, not {distribution}.")
    kind: Any = getattr(stats, str(distribution["name"]), None)
    if not isinstance(kind, stats.rv_continuous | stats.rv_discrete):
        raise WrongTypeError(f"scipy.stats has no distribution {shown(distribution['name'])}.")
    for key, value in distribution["arguments"].items():
        if not is_number(value):
            raise NetworkError(
                f"{key!r} of {distribution['name']} is {shown(value)}; give one number."
            )
    frozen = kind(**distribution["arguments"])
    if not np.isfinite(frozen.ppf(0.5)):
        raise NetworkError(f"{_written(distribution)} of scipy.stats is no distribution.")
    return frozen
