"""White noise of equations: what is left without it, where it acts, and its increments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from somaflow.compiler.layout import padded
from somaflow.compiler.states import Tensors
from somaflow.equations import noise
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node
from somaflow.errors import RunError
from somaflow.network.population import Population
from somaflow.network.random import named
from somaflow.numerics.device import materialize
from somaflow.numerics.random import Key, derive, normal_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.solvers.base import Solver
from somaflow.solvers.stochastic import EulerMaruyama, StochasticHeun

# The first number of its streams of random numbers; `drives.py` and `general.py` have those before.
_WHITE = 6
# Methods that only add what each noise does, so that states may share one and have several.
_ADDING = (EulerMaruyama, StochasticHeun)
Noises = Mapping[str, tuple[str, ...]]  # of each state


def apart(equations: Equations) -> tuple[Equations, dict[str, dict[str, Node]]]:
    """Return equations without their noise, and the factor of each noise of each noisy state.

    Definitions that depend on a noise are written out; the equations that are left have none.
    """
    if not equations.noises:
        return equations, {}
    found = {state: equations.drift_and_diffusion(state) for state in equations.states}
    states = {n: replace(v, expression=found[n][0]) for n, v in equations.states.items()}
    loud = {*noise.listed(equations.noises)}
    definitions = {
        name: definition
        for name, definition in equations.definitions.items()
        if not equations.depends(definition.expression) & loud
    }
    drift = object.__new__(Equations)
    vars(drift).update(vars(equations), states=states, definitions=definitions, noises={})
    return drift, {state: factors for state, (_, factors) in found.items() if factors}


def sources(noises: Noises, names: Sequence[str]) -> Array | None:
    """Return where each noise of each state is in blocks of independent noise.

    Args:
        noises: The noises of each state.
        names: The states in the order of a block's components.

    Returns:
        int32 `[n_noises, n_states]`: of the first noise of each state, of the second, ... the row
        in as many blocks one below the other; None where every state has one noise, its own.
    """
    if noise.shared(noises) is None:
        return None
    most, home = max(map(len, noises.values())), dict[str, int]()
    rows = np.arange(most * len(names), dtype=np.int32).reshape(most, -1)
    for k, name in enumerate(names):
        for rank, one in enumerate(noises.get(name, ())):
            rows[rank, k] = home.setdefault(one, int(rows[rank, k]))
    return rows


def refuse_shared(solver: Solver, noises: Noises, whose: str) -> None:
    """Refuse a method that needs one noise of its own for each state, where they are not.

    Args:
        solver: The method.
        noises: The noises of each state.
        whose: What they belong to, for the message.

    Raises:
        RunError: So it is.
    """
    reason = noise.shared(noises)
    if reason is not None and not isinstance(solver, _ADDING):
        raise RunError(
            f"{solver.name} needs one noise of its own for each state, but in {whose} {reason}: "
            "use sf.EulerMaruyama() for Ito, or sf.StochasticHeun() for Stratonovich."
        )


class WhiteNoise:
    """The white noise in the equations of one population.

    Args:
        population: The population.
        dt: The step in ms.
        dtype: NumPy type of the run.

    Attributes:
        drift: Its equations without noise.
        factors: The tree of the factor of each noise, by the state that it drives.
        names: All its noises.
    """

    def __init__(self, population: Population, dt: float, dtype: np.dtype) -> None:
        self.drift, self.factors = apart(population.equations)
        self.names = noise.listed(population.equations.noises)
        self.dtype, self.scale = dtype, float(np.sqrt(dt))
        self.width, self._shared = padded(population.size), population.shared_noise
        self._cells = population.first, population.first + self.width
        self._links = frozenset(population.links)
        self._streams = [(*named(population.name), *named(name)) for name in self.names]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All trees that are evaluated."""
        return tuple(tree for factors in self.factors.values() for tree in factors.values())

    @property
    def driven(self) -> bool:
        """Whether a factor depends on what drives the cells."""
        inputs = self.drift.inputs.keys() - self._links
        return any(self.drift.depends(tree) & inputs for tree in self.nodes)

    def keys(self, seed_words: tuple[Tensor, Tensor]) -> list[Key]:
        """Return the key of each noise."""
        # Keys that are derived at once send XLA's simplifier round in circles.
        return [derive(seed_words, (_WHITE, *stream)) for stream in self._streams]

    def drawn(self, step: Tensor, keys: list[Key]) -> Tensors:
        """Return the increments of a step by the name of the noise.

        Args:
            step: The number of steps made before.
            keys: What `keys` returned.

        Returns:
            A number for each cell, `[padded size]`; of a noise that cells share one number.
        """
        found = {}
        for name, key in zip(self.names, keys, strict=True):
            index = tf.constant(0) if name in self._shared else tf.range(*self._cells)
            drawn = normal_of(key, step, index, self.dtype)
            found[name] = materialize(tf.constant(self.scale, drawn.dtype) * drawn)
        return found
