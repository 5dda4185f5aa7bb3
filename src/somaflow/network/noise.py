"""Noise: stimuli that are drawn anew in each step of a run, for each cell by itself.

A noise is constant within a step, so every method sees the same value at all its stages; in a step
that it begins or ends within, it has the mean and the variance of the part in which it acts. The
numbers come from the run's seed and the name of the stimulus, or what it is of; two noises are
never related, and no number depends on how a run is cut into chunks or what is recorded.
"""

from dataclasses import dataclass

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError
from somaflow.network.fields import Field, default
from somaflow.network.waveforms import Windowed, lengths, per_cell, set_window
from somaflow.units import Parameter, ms


@dataclass(frozen=True, eq=False)
class WhiteNoise(Windowed, Description):
    """White noise: within each step the current is mean + sd/sqrt(dt)*N, N standard normal.

    So the integral of the current over a time T has the variance sd**2*T at any dt.

    Args:
        sd: The intensity, in the unit of a current times the root of a time, such as
            nA*ms**0.5; one number or one for each cell.
        mean: The mean current; one number or one for each cell.
        start: When it begins, in ms.
        stop: When it ends; None means never.

    Raises:
        UnitError: The mean is no current of the kind that `sd` makes.
        NetworkError: `sd` is negative, or it stops before it starts.
    """

    sd: Field[Parameter]
    mean: Field[Parameter] = default(0)
    start: Field[float] = default(0 * ms)
    stop: Field[float | None] = default(None)

    def __post_init__(self) -> None:
        sd = per_cell(self.sd, None, "sd", "WhiteNoise")
        object.__setattr__(self, "sd", sd)
        _not_negative(sd, "WhiteNoise")
        mean = per_cell(self.mean, self.unit, "mean", "WhiteNoise")
        object.__setattr__(self, "mean", mean)
        set_window(self, "WhiteNoise")

    @property
    def unit(self) -> str:
        """The unit of the current."""
        return units.unit_text(units.parse_unit(self.sd.unit) / units.ms**0.5)

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given, each time that it is not given as one number."""
        return lengths(self.sd, self.mean)


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(Windowed, Description):
    """Noise with a memory: an Ornstein-Uhlenbeck process, as a current or a conductance.

    From step to step x becomes mean + (x - mean)*exp(-dt/tau) + sd*sqrt(1 - exp(-2*dt/tau))*N,
    which is exact: mean and standard deviation depend on no dt. It begins at time 0 with its
    stationary distribution; `start` and `stop` only say when cells get it.

    With a `reversal` potential x is a conductance, and the current into a cell is
    -max(x, 0)*(v - reversal): where the process is below 0 the conductance is 0.

    Destexhe A, Rudolph M, Fellous JM, Sejnowski TJ (2001) Fluctuating synaptic conductances
    recreate in vivo-like activity in neocortical neurons. Neuroscience 107:13-24,
    doi:10.1016/S0306-4522(01)00344-X; the update is that of Gillespie DT (1996) Physical Review E
    54:2084-2091, doi:10.1103/PhysRevE.54.2084.

    Args:
        mean: The mean; one number or one for each cell.
        sd: The stationary standard deviation; one number or one for each cell.
        tau: The time constant of its memory; one number or one for each cell.
        reversal: The reversal potential in mV where it is a conductance; None for a current.
        start: When it begins to act, in ms.
        stop: When it ends; None means never.

    Raises:
        UnitError: Mean and sd have different units, or tau is no time.
        NetworkError: `sd` is negative, tau not greater than 0, or it stops before it starts.
    """

    mean: Field[Parameter]
    sd: Field[Parameter]
    tau: Field[Parameter]
    reversal: Field[Parameter | None] = default(None)
    start: Field[float] = default(0 * ms)
    stop: Field[float | None] = default(None)

    def __post_init__(self) -> None:
        setter, kind = object.__setattr__, "OrnsteinUhlenbeck"
        mean = per_cell(self.mean, None, "mean", kind)
        setter(self, "mean", mean)
        setter(self, "sd", per_cell(self.sd, mean.unit, "sd", kind))
        _not_negative(self.sd, kind)
        setter(self, "tau", per_cell(self.tau, "ms", "tau", kind))
        if (self.tau.value <= 0).any():
            raise NetworkError(f"tau of {kind} is {self.tau.value.min()} ms; give a time > 0.")
        if self.reversal is not None:
            setter(self, "reversal", per_cell(self.reversal, "mV", "reversal", kind))
        set_window(self, kind)

    @property
    def unit(self) -> str:
        """The unit of the current."""
        if self.reversal is None:
            return self.mean.unit
        return units.unit_text(units.parse_unit(self.mean.unit) * units.mV)

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given, each time that it is not given as one number."""
        return lengths(self.mean, self.sd, self.tau, self.reversal)


Noise = WhiteNoise | OrnsteinUhlenbeck


def _not_negative(sd: Parameter, kind: str) -> None:
    if (sd.value < 0).any():
        raise NetworkError(f"sd of {kind} is {sd.declared.min():g} {sd.unit}; give at least 0.")
