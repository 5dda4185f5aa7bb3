"""The promise of the catalogue: every mechanism says where it comes from and is checked."""

import copy
import math
import pickle
from pathlib import Path

import pytest

import somaflow as sf
from somaflow import description
from somaflow.description import encode, fingerprint
from somaflow.equations.equations import Equations
from somaflow.mechanisms.catalogue import KINDS, Mechanism, checks, value_at

NAMES = [name for folder in KINDS.values() for name in sf.catalogue(folder)]
WANTED = {
    "na_traub1991", "k_traub1991", "ka", "ka_psst2022", "ca", "kca", "ca_decay", "leak",
    # neurons
    "hodgkin_huxley_1952", "lif", "qif", "eif", "adex", "izhikevich", "hh_cond_exp",
    "hh_cond_exp_traub", "morris_lecar", "wang_buzsaki", "connor_stevens",
    "pinsky_rinzel",
    # synapses
    "nach", "gaba_a", "gaba_a_facilitating", "slow_gaba", "slow_gaba_mohanta2021", "delta",
    "stdp_pair_all_to_all", "stdp_pair_nearest", "stdp_inhibitory", "stdp_triplet_all_to_all",
    "stdp_triplet_nearest", "stdp_clopath", "stdp_graupner_brunel", "stdp_reward",
    # of the stomatogastric ganglion
    "na_prinz2003", "ca_t_prinz2003", "ca_s_prinz2003", "ka_prinz2003", "kca_prinz2003",
    "kd_prinz2003", "h_prinz2003", "ca_prinz2003",
}  # fmt: skip
BOTH = {  # for point neurons, and per area
    "exponential_conductance", "exponential_current", "alpha_conductance", "alpha_current",
    "double_exponential_conductance", "double_exponential_current", "ampa", "nmda",
    "nmda_saturating", "gaba_a_destexhe", "gaba_b", "graded_conductance", "graded_prinz2004",
    "gap_junction",
    "tsodyks_markram_conductance", "tsodyks_markram_current",
}  # fmt: skip
FLOWING = {"stdp_clopath", "stdp_reward"}  # their weights change between spikes too
everyone = pytest.mark.parametrize("name", NAMES)


def test_the_catalogue_holds_what_was_promised() -> None:
    assert set(NAMES) >= WANTED | BOTH | {f"{name}_density" for name in BOTH}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", sorted(BOTH))
def test_the_two_forms_of_a_synapse_differ_in_their_units_alone(name: str) -> None:
    point, density = sf.load(name), sf.load(f"{name}_density")
    units = ((": uA/cm**2", ": nA"), (": mS/cm**2", ": uS"))
    text = density.equations.source
    for per_area, whole in units:
        text = text.replace(per_area, whole)
    assert text == point.equations.source
    assert density.details == point.details
    initial = [m.equations.initial_values({}, name) for m in (point, density)]
    assert initial[0] == initial[1]


@pytest.mark.parametrize("name", list(sf.catalogue("synapses")))
def test_the_weight_of_a_synapse_is_a_parameter_or_changes(name: str) -> None:
    mechanism = sf.load(name)
    equations, weight = mechanism.equations, mechanism.details["weight"]
    assert (weight in equations.parameters) != (weight in equations.states)
    if weight in equations.states and name not in FLOWING:
        assert weight in {a.name for a in equations.on_spike}
        assert value_at(equations, f"d{weight}/dt", {}) == 0


@everyone
def test_its_checks_pass(name: str) -> None:
    results = checks(name)
    assert results
    for result in results:
        close = math.isclose(
            result["found"], result["expected"], rel_tol=result["tolerance"], abs_tol=1e-15
        )
        assert close, result
        assert result["tolerance"] <= 0.01
        assert result["source"].strip()


@everyone
def test_a_check_can_fail(name: str) -> None:
    for result in checks(name):
        wrong = result["expected"] * (1 + 3 * result["tolerance"]) + 1e-12
        assert not math.isclose(result["found"], wrong, rel_tol=result["tolerance"])


@everyone
def test_it_names_its_source(name: str) -> None:
    mechanism = sf.load(name)
    assert len(mechanism.reference) > 20
    assert any(year in mechanism.reference for year in ("19", "20"))
    assert mechanism.title.strip()


@everyone
def test_its_equations_are_read_again_from_their_text(name: str) -> None:
    equations = sf.load(name).equations
    again = Equations.parse(equations.text, **equations.parameters)
    assert again.states == equations.states
    assert again.definitions == equations.definitions
    assert again.inputs == equations.inputs


@everyone
def test_every_state_can_begin(name: str) -> None:
    equations = sf.load(name).equations
    values = equations.initial_values({}, name)
    assert list(values) == list(equations.states)


@everyone
def test_it_can_be_printed(name: str) -> None:
    mechanism = sf.load(name)
    assert repr(mechanism) == str(mechanism)
    for key, value in mechanism.equations.parameters.items():
        assert f"{key}={value}" in repr(mechanism)
    assert mechanism.equations.source.strip().splitlines()[-1] in repr(mechanism.equations)


@everyone
def test_it_keeps_its_bits_through_a_file_and_a_pickle(name: str, tmp_path: Path) -> None:
    mechanism = sf.load(name)
    description.save(mechanism, tmp_path / "m.npz")
    read = description.load(tmp_path / "m.npz")
    for other in (read, pickle.loads(pickle.dumps(mechanism)), copy.deepcopy(mechanism)):
        assert isinstance(other, Mechanism)
        assert other == mechanism
        assert fingerprint(other) == fingerprint(mechanism)
        assert encode(other)[0] == encode(mechanism)[0]


@everyone
def test_each_parameter_can_be_set_to_what_it_is(name: str) -> None:
    mechanism = sf.load(name)
    assert mechanism(**mechanism.equations.parameters) == mechanism
