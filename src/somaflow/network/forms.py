"""Forms of synapses: from equations a synapse to few states, by rewrites that are exact.

A synapse's equations speak of one synapse. Some of their states are equal for all synapses of
one presynaptic cell, some for all of one postsynaptic cell, and of some only the sum over the
synapses of one postsynaptic cell matters. A run keeps each of them once:

* *graded*: what depends on the presynaptic cell's state, or on its spikes in a way that has no
  closed form, is one more row of that population's block, which the solver integrates; its effect
  is summed over synapses at each of the solver's nodes;
* *pulsed*: a gate that transmitter pulses open, in closed form between the edges of the pulses, for
  each presynaptic cell, and the conductance that it opens, for each postsynaptic cell;
* *jumping*: what jumps at spikes and obeys linear equations between them, in closed form.

Where none of them applies, each synapse is computed by itself (`general`).

docs/design/synapses.md derives them; tests/compiler holds them to the plain result.
"""

from somaflow.equations.noise import listed
from somaflow.equations.statements import are_maps
from somaflow.errors import EquationError, NetworkError
from somaflow.network import general
from somaflow.network.form import Form
from somaflow.network.general import General, in_general
from somaflow.network.graded import Graded, moved_by_spikes
from somaflow.network.jumping import Jumping
from somaflow.network.plastic import Plastic
from somaflow.network.pulsed import Pulsed
from somaflow.network.synaptic import Synaptic, place_of

__all__ = ["FORMS", "Form", "Graded", "Jumping", "Plastic", "Pulsed", "take_apart"]

# In the order in which they are asked; what none of them takes is general.
FORMS: tuple[type[Form], ...] = (Pulsed, Graded, Jumping, Plastic)


def take_apart(projection: Synaptic) -> Form:
    """Find the form of a projection's synapse: a rewrite, or else the general one.

    Raises:
        NetworkError: It cannot be computed; the message says why.
    """
    equations, place = projection.equations, place_of(projection)
    if equations.noises:
        noises = ", ".join(listed(equations.noises))
        raise NetworkError(
            f"{place}: a synapse has no white noise ({noises}); the equations of a population may."
        )
    if are_maps(equations.states):
        raise NetworkError(
            f"{place}: a synapse has no map x[n+1] = ...; the equations of a population may."
        )
    nodes = [variable.expression for variable in equations.states.values()]
    nodes += [a.expression for a in (*equations.on_spike, *equations.on_post_spike)]
    nodes += [equations.definitions["I"].expression] if "I" in equations.definitions else []
    if any("t" in equations.depends(node) for node in nodes):
        raise NetworkError(f"{place} depends on the time t, which synapses do not know.")
    if name := general.stepped(equations):
        return in_general(projection, f"{place}: a spike reads {name}.")
    if varied := getattr(projection, "varied", {}):
        differ = ", ".join(varied)
        return in_general(projection, f"{place}: {differ} may differ between synapses.")
    try:
        return _rewritten(projection)
    except NetworkError as error:
        return in_general(projection, str(error))
    except EquationError as error:
        return in_general(projection, f"{place}: {str(error).splitlines()[0]}")


def _rewritten(projection: Synaptic) -> Form:
    """Find the rewrite that applies.

    Raises:
        NetworkError, EquationError: None does; the message says why.
    """
    if projection.equations.rules:
        reason = f"{place_of(projection)}: each has rules at intervals."
        return Plastic.recognise(projection) or in_general(projection, reason)
    try:
        for form in FORMS:
            if (found := form.recognise(projection)) is not None:
                return found
    except (NetworkError, EquationError):
        if (found := moved_by_spikes(projection)) is not None:
            return found
        raise
    return General.recognise(projection)
