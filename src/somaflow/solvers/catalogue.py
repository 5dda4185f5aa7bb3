"""The methods of this library, in one list.

Error texts, the command line, resumed runs, docs and tests take it from here. It loads no
TensorFlow, so that `somaflow --help` need not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver


class Method(NamedTuple):
    """A method.

    Attributes:
        name: Its name in `somaflow`, such as `RK4`.
        module: Where it is, below `somaflow.solvers`.
        steps: `fixed`; `own`, where it chooses its steps unless `dt=` fixes them; `noise`, where
            it is for stochastic equations, by fixed steps; `map`, where it is for maps.
        stiff: Whether large steps on stiff equations stay stable.
    """

    name: str
    module: str
    steps: str
    stiff: bool = False

    @property
    def option(self) -> str:
        """What it is called on the command line, such as `exponential-euler`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name).lower()

    @property
    def make(self) -> Callable[[], Solver]:
        """Its class."""
        return getattr(import_module(f"somaflow.solvers.{self.module}"), self.name)

    @property
    def in_networks(self) -> bool:
        """Whether a network, which runs by a clock, takes it; for noise, one that has some."""
        return self.steps != "own" or self.stiff


METHODS = (
    Method("Euler", "runge_kutta", "fixed"),
    Method("Midpoint", "runge_kutta", "fixed"),
    Method("Heun", "runge_kutta", "fixed"),
    Method("RK4", "runge_kutta", "fixed"),
    Method("ThreeEighths", "runge_kutta", "fixed"),
    Method("BogackiShampine", "runge_kutta", "own"),
    Method("DormandPrince", "runge_kutta", "own"),
    Method("Tsitouras", "runge_kutta", "own"),
    Method("ExponentialEuler", "exponential", "fixed"),
    Method("ExponentialMidpoint", "exponential", "fixed"),
    Method("ImplicitEuler", "implicit", "fixed", stiff=True),
    Method("Rosenbrock", "rosenbrock", "own", stiff=True),
    Method("EulerMaruyama", "stochastic", "noise"),
    Method("Milstein", "stochastic", "noise"),
    Method("StochasticHeun", "stochastic", "noise"),
    Method("Map", "map", "map"),
)


def in_networks() -> dict[str, Method]:
    """Return the methods that a network takes, by their names on the command line."""
    return {method.option: method for method in METHODS if method.in_networks}


@cache
def kept() -> dict[str, Method]:
    """Return the methods of networks by the names that stores hold, such as `Classical RK4`."""
    return {method.make().name: method for method in METHODS if method.in_networks}


def spoken(*methods: Method) -> str:
    """Return methods as a message lists them: `sf.Euler(), sf.Heun() and sf.RK4()`."""
    names = [f"sf.{method.name}()" for method in methods]
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])
