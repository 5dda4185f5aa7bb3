"""Builders: what a sweep's model is, a network or a function that builds one, made alike."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from somaflow.errors import RunError, SomaflowError, WrongTypeError
from somaflow.given import has, shown
from somaflow.network.network import Network


class Model(NamedTuple):
    """What a model is to a sweep.

    Attributes:
        network: The network.
        initial: Initial values that go with it, or None.
        whole: What was given, or what the function returned.
    """

    network: Network
    initial: Any
    whole: object


@dataclass(frozen=True)
class Builder:
    """A function that builds a model.

    Attributes:
        function: The function, or None of a model that is always the same.
        arguments: Which of what varies are arguments.
        takes: The names of all arguments.
        model: The one that is always the same.
    """

    function: Callable[..., object] | None
    arguments: frozenset[str]
    takes: frozenset[str]
    model: Model | None

    @property
    def fixed(self) -> bool:
        """Whether the model is always the same."""
        return self.model is not None

    def build(self, values: Mapping[str, object]) -> Model:
        """Return a model.

        Args:
            values: The arguments.

        Raises:
            RunError: The function fails.
            WrongTypeError: It returns no network, and nothing that has one.
        """
        if self.model is not None:
            return self.model
        assert self.function is not None
        name = _name(self.function)
        try:
            whole = self.function(**values)
        except SomaflowError:
            raise
        except Exception as error:  # whatever a user's function raises
            raise RunError(f"{name} failed: {type(error).__name__}: {error}") from error
        model = _model_of(whole)
        if model is None:
            raise WrongTypeError(
                f"{name} returned {shown(whole)}; it is to return a sf.Network, or something that "
                "has one as .network."
            )
        return model


def builder_of(model: object, names: Iterable[object]) -> Builder:
    """Return what builds the networks of a sweep.

    Args:
        model: A network, something that has one, or a function that returns one of these.
        names: What varies.

    Raises:
        WrongTypeError: It is none of these, or a function that cannot be called so.
    """
    fixed = None if isinstance(model, type) else _model_of(model)
    if fixed is not None:
        return Builder(None, frozenset(), frozenset(), fixed)
    if not callable(model):
        raise WrongTypeError(
            f"a sweep takes a sf.Network, or a function that returns one, not {shown(model)}."
        )
    try:
        parameters = inspect.signature(model).parameters.values()
    except (TypeError, ValueError) as error:
        raise WrongTypeError(
            f"the arguments of {_name(model)} are not known; give a function with def."
        ) from error
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    texts = {name for name in names if isinstance(name, str)}
    arguments = {name for name in texts if name in named or (takes_all and name.isidentifier())}
    for p in parameters:
        needed = p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        if needed and p.name not in arguments:
            raise WrongTypeError(
                f"{_name(model)} needs {p.name!r}, which does not vary; give functools.partial("
                f"{_name(model)}, {p.name}=...)."
            )
    return Builder(model, frozenset(arguments), frozenset(named), None)


def _model_of(thing: Any) -> Model | None:
    if isinstance(thing, Network):
        return Model(thing, None, thing)
    network = thing.network if has(thing, "network") else None
    if not isinstance(network, Network):
        return None
    return Model(network, thing.initial if has(thing, "initial") else None, thing)


def _name(function: object) -> str:
    function = getattr(function, "func", function)  # of functools.partial
    return str(getattr(function, "__name__", type(function).__name__))
