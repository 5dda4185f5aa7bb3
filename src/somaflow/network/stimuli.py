"""Stimuli: what an experimenter does to cells: currents, noise, and the voltage clamp."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from somaflow import units
from somaflow.description import Description
from somaflow.elsewhere import checked
from somaflow.errors import NetworkError, UnitError, WrongTypeError
from somaflow.given import shown
from somaflow.network.fields import Field, default
from somaflow.network.inputs import MEMBRANE, chosen_input, inputs_of, membrane
from somaflow.network.noise import Noise, OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.population import PopulationView, as_view, check_name
from somaflow.network.waveforms import (
    Course,
    Ramp,
    SaturatingPulse,
    Step,
    Waveform,
    Windowed,
    set_window,
)
from somaflow.units import ms

_COURSES = (Step, Ramp, SaturatingPulse, Waveform)
_NOISES = (WhiteNoise, OrnsteinUhlenbeck)


@dataclass(frozen=True, eq=False)
class Stimulus(Description):
    """Drives cells with a waveform or noise, through an input of their equations.

    Args:
        target: A population or a view, such as `pn[:30]`.
        waveform: A `Step`, `Ramp`, `SaturatingPulse` or `Waveform`, or a `WhiteNoise` or
            `OrnsteinUhlenbeck`; what is given as an array has one value for each cell of the
            target.
        name: An identifier, unique among the stimuli of a network. Noise draws its numbers by it;
            default: by the population and the kind of the noise, those of one kind on one
            population counted in the order given.
        into: The input that it drives, such as `"I_dend"`; default: the only one.

    Raises:
        NetworkError: The cells have no input, or several and `into` is not given; the sizes
            differ; or the noise is a conductance and they have no voltage that the input drives.
        UnknownNameError: They have no such input.
        UnitError: The waveform has another unit than the input.
    """

    target: Field[PopulationView]
    waveform: Course | Noise
    name: str | None = None
    into: Field[str] = default(None)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name, "stimulus")
        target = as_view(self.target, "the target of a Stimulus")
        object.__setattr__(self, "target", target)
        if not isinstance(self.waveform, (*_COURSES, *_NOISES)):
            raise WrongTypeError(
                "the waveform of a Stimulus is a sf.Step, sf.Ramp, sf.SaturatingPulse, "
                f"sf.Waveform, sf.WhiteNoise or sf.OrnsteinUhlenbeck, not {shown(self.waveform)}."
            )
        owner = target.population
        _refuse_source(target, "A stimulus")
        inputs = inputs_of(owner)
        object.__setattr__(self, "into", chosen_input(owner.name, inputs, self.into, "a stimulus"))
        unit = inputs[self.into]
        if units.dimensions(self.waveform.unit) != units.dimensions(unit):
            raise UnitError(
                f"the stimulus of {owner.name!r} is in {self.waveform.unit}, but the cells take "
                f"{self.into} in {unit}."
            )
        _check_sizes(self.waveform.sizes, target, "stimulus")
        if getattr(self.waveform, "reversal", None) is not None:
            _require_membrane(target, "a conductance", self.membrane)

    @property
    def membrane(self) -> str:
        """The voltage of the cells for what drives this input."""
        return membrane(self.target.population, self.into)


@dataclass(frozen=True, eq=False)
class VoltageClamp(Windowed, Description):
    """Holds the membrane potential `v` of cells at a command, whatever currents flow.

    `v` follows the command at each stage of a step and at its end; all other states evolve under
    it. A jump of the command on a step's border acts from there on: a sample of `v` at that time
    shows the new value. Where two clamps hold a cell at once, the one that stands later in the
    network does. When a clamp stops, `v` goes on from the last command. Clamped cells spike as
    others do, those with a reset in each step in which the command is above their threshold; a
    reset has no effect on `v`.

    The current that the clamp delivers is no variable; it is what the cell's own currents, which
    can be recorded, leave over.

    Args:
        cells: A population or a view.
        voltage: The command: one number or one for each cell, in mV; or a `Step`, `Ramp`,
            `SaturatingPulse` or `Waveform` in mV, which is 0 mV outside its own times. Its jumps
            are taken to the nearest border of a step: a step has one command or the other.
        start: When the clamp begins, in ms, taken to the nearest border of a step.
        stop: When it lets go, taken likewise; None means never.

    Raises:
        NetworkError: The cells have no state `v`, the sizes differ, or it stops before it starts.
        UnitError: The command is no voltage.
    """

    cells: Field[PopulationView]
    voltage: Field[Course]
    start: Field[float] = default(0 * ms)
    stop: Field[float | None] = default(None)

    def __post_init__(self) -> None:
        target = as_view(self.cells, "what a VoltageClamp holds")
        object.__setattr__(self, "cells", target)
        _refuse_source(target, "A voltage clamp")
        _require_membrane(target, "a voltage clamp")
        if not isinstance(self.voltage, _COURSES):
            command = Step(units.parameter(self.voltage, "mV", "voltage", "VoltageClamp"))
            object.__setattr__(self, "voltage", command)
        if units.dimensions(self.voltage.unit) != units.dimensions("mV"):
            raise UnitError(f"the command of a VoltageClamp is in {self.voltage.unit}, not in mV.")
        _check_sizes(self.voltage.sizes, target, "command")
        set_window(self, "VoltageClamp")


def labels(stimuli: Sequence[Stimulus]) -> list[str]:
    """Return what each stimulus of a network is called: its name, or what it is of.

    A label says nothing of stimuli of another kind or on another population.
    """
    names, counts = [], Counter[str]()
    for stimulus in stimuli:
        label = stimulus.name
        if label is None:
            label = f"{type(stimulus.waveform).__name__} on {stimulus.target.population.name}"
            counts[label] += 1
            label += f" ({counts[label]})" if counts[label] > 1 else ""
        names.append(label)
    return names


def _refuse_source(target: PopulationView, what: str) -> None:
    if target.population.source is not None:
        raise NetworkError(
            f"{target.population.name!r} is made of spike sources, which have no membrane. {what} "
            "needs cells with equations."
        )


def _require_membrane(target: PopulationView, what: str, name: str = MEMBRANE) -> None:
    owner = target.population
    states = owner.equations.states
    unit = states[name].unit if name in states else None
    if unit is None or units.dimensions(unit) != units.dimensions("mV"):
        state = "none" if unit is None else f"one in {unit}"
        raise NetworkError(
            f"{what} needs cells whose membrane potential is a state {name!r} in mV; "
            f"{owner.name!r} has {state}."
        )


def _check_sizes(sizes: tuple[int, ...], target: PopulationView, what: str) -> None:
    for count in sizes:
        if count != len(target):
            raise NetworkError(
                f"the {what} has {count} courses for {len(target)} cells of "
                f"{target.population.name!r}."
            )


@checked
def CurrentClamp(  # noqa: N802 - the electrode's name, used like the classes beside it
    cells: object,
    amplitude: object,
    start: object = 0 * ms,
    stop: object = None,
    into: str | None = None,
) -> Stimulus:
    """Return a stimulus of constant current, as from an electrode.

    Args:
        cells: A population or a view.
        amplitude: The current; one number, or one for each cell.
        start: When it begins, in ms.
        stop: When it ends; None means never. A step of the run that the current covers in part
            gets that part of it.
        into: The input that it drives; default: the only one.

    Raises:
        NetworkError, UnknownNameError, UnitError: As for `Stimulus` and `Step`.
    """
    return Stimulus(cells, Step(amplitude, start, stop), into=into)
