"""Poisson inputs: spikes of many sources that reach cells, without the sources."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from somaflow import given
from somaflow.description import Description
from somaflow.equations.drawing import Distribution
from somaflow.equations.equations import Equations
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import flag, shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.fields import Field, default
from somaflow.network.fitting import Fit, fit
from somaflow.network.forms import take_apart
from somaflow.network.limits import limits_of
from somaflow.network.pairs import written_unit
from somaflow.network.population import Population, PopulationView, as_view
from somaflow.network.ports import check_ports
from somaflow.network.sources import check_rates, checked_rate, highest_rate
from somaflow.network.synaptic import Synaptic
from somaflow.network.waveforms import Course, per_cell
from somaflow.units import Parameter


@dataclass(frozen=True, eq=False)
class PoissonInput(Synaptic, Description):
    """What many independent Poisson sources do to cells, without sources and without synapses.

    In each step each cell gets a number of spikes that is drawn from the Poisson distribution of
    the mean n*rate*dt, exactly for any mean. They arrive at the end of the step, and what the
    synapse adds at a spike is added as many times: the weight times the number.

    The numbers come from the run's seed and the input's name.

    Args:
        post: A population or a view.
        synapse: A synapse of the catalogue, or `Equations`, of which only the sum over a cell's
            spikes matters, such as `exponential_current` or `delta`. What keeps something for each
            presynaptic cell or synapse (short-term plasticity, a saturating gate, a plastic
            weight) needs a population of `SpikeSourcePoisson` and a `Projection`.
        rate: Of one source, in Hz: one number or one for each cell; or a `Step`, `Ramp`,
            `SaturatingPulse` or `Waveform` in Hz, of which each step takes the value at its
            middle, or the mean where it begins, ends or jumps within the step.
        n: How many sources each cell has: one whole number or one for each cell.
        weight: Value of the synapse's weight: one number or one for each cell. Default: what the
            synapse says.
        shared: Whether all cells get one and the same train, of n sources, in place of a train for
            each.
        name: For messages and results; default `"<post>_input"`.
        into: The input of the cells that the synapse drives; default: the only one.

    Raises:
        NetworkError: The synapse needs more than the number of spikes, the cells lack what it
            drives, a rate is negative, sizes differ, or a shared train has several rates.
        UnitError: A rate, a weight or the synaptic current has the wrong unit.
        MissingValueError: The weight has no value.
    """

    kind: ClassVar[str] = "Poisson input"
    post: Field[PopulationView]
    synapse: Mechanism | Equations
    rate: Field[Course | Parameter]
    n: Field[NDArray[np.int64] | int] = default(1)
    weight: Field[Parameter | None] = default(None)
    shared: bool = False
    name: str | None = None
    into: str | None = None
    fitted: Fit | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "post", as_view(self.post, "post"))
        target = self.post.population
        self._check_name(f"{target.name}_input")
        if not len(self.post):
            raise NetworkError(f"{self.place} has no cells.")
        self._check_synapse()
        for key, value in self._varied().items():
            drawn = isinstance(value, Distribution)
            what = f"is {value}" if drawn else f"has shape {value.value.shape}"
            raise NetworkError(
                f"{self.place}: {key!r} of synapse {self.synapse_name!r} {what}; give one number, "
                "and what differs between cells as weight=..."
            )
        for port in self.equations.inputs:
            if port.endswith("_pre"):
                raise NetworkError(
                    f"{self.place}: synapse {self.synapse_name!r} reads {port!r}, and there are no "
                    "presynaptic cells here; use one that jumps at spikes, such as "
                    "exponential_current or delta."
                )
        fitted = fit(self.place, self.written, self.into, target)
        setter(self, "fitted", fitted)
        setter(self, "into", fitted.into)
        check_ports(self.place, self.synapse_name, self.equations, {"post": target}, self.into)
        self._check_form()
        if isinstance(self.rate, Distribution):
            raise WrongTypeError(
                f"the rate of a {self.kind} is one number, one for each cell or a waveform, not "
                f"{shown(self.rate)}."
            )
        setter(self, "rate", checked_rate(self.rate, self.kind))
        check_rates(self.rate, str(self.name), len(self.post))
        setter(self, "n", self._checked_number())
        setter(self, "weight", self._checked_weight())
        flag(self.shared, "shared")
        sizes = self.rate.sizes if isinstance(self.rate, Course) else self.rate.value.shape
        if self.shared and (sizes or np.ndim(self.n)):
            raise NetworkError(
                f"{self.place} is one train for all its cells; give one rate and one n."
            )

    @property
    def highest(self) -> float:
        """The highest rate of all sources of a cell together, in 1/ms."""
        return highest_rate(self.rate) * float(np.max(self.n))

    @property
    def driven(self) -> list[tuple[Population, str]]:
        """The population and the input that it drives, if it does."""
        return [] if self.into is None else [(self.post.population, self.into)]

    def _check_form(self) -> None:
        form = take_apart(self)
        if form.reason:
            raise NetworkError(form.reason)
        if (why := form.uncounted()) is None:
            return
        raise NetworkError(
            f"{self.place}: synapse {self.synapse_name!r} {why}, and here only the number of "
            "spikes is known; use a sf.Projection from a population of sf.SpikeSourcePoisson."
        )

    def _checked_number(self) -> NDArray[np.int64] | int:
        number = given.array(self.n)
        if number is None or number.ndim > 1 or number.dtype.kind not in "iu":
            raise WrongTypeError(
                f"the n of a {self.kind} is a whole number of sources, or one for each cell, not "
                f"{shown(self.n)}."
            )
        if (number < 0).any():
            raise NetworkError(f"the n of {self.place} is {number.min()}; give at least 0.")
        if number.ndim and len(number) != len(self.post):
            raise NetworkError(
                f"{self.place} has {len(number)} numbers of sources for {len(self.post)} cells."
            )
        return number.astype(np.int64) if number.ndim else int(number)

    def _checked_weight(self) -> Parameter | None:
        name = self.weight_name
        if name is None:
            if self.weight is not None:
                raise NetworkError(
                    f"{self.place}: synapse {self.synapse_name!r} has no weight that weight= could "
                    "be: no parameter and no state 'w'."
                )
            return None
        if self.weight is None:
            default = self._default_weight(name)
            assert isinstance(default, Parameter)  # one that is drawn was refused
            return default
        unit = self.equations.unit(name)
        weight = per_cell(self.weight, unit, "weight", self.place)
        if weight.value.ndim and len(weight.value) != len(self.post):
            raise NetworkError(
                f"{self.place} has {len(weight.value)} weights for {len(self.post)} cells."
            )
        limits_of(self.equations, name).check(
            weight.value.reshape(-1), written_unit(self.weight) or unit, self.weight, self.place
        )
        return weight

    def __repr__(self) -> str:
        return f"PoissonInput({self.name!r}, {self.synapse_name}, n={self.n}, rate={self.rate})"
