"""The antennal lobe: its parameter sets as described, and what it does as measured."""

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest

import somaflow as sf
from somaflow.analysis import field_potential, power_spectrum, vector_strength
from somaflow.models import MODELS, antennal_lobe
from somaflow.units import cm, mS, ms, second

SETS = ("al-20hz", "psst-2022")
SEEDS = (1, 2, 3)


def without_gaba(network: sf.Network) -> sf.Network:
    """Block GABA_A, as picrotoxin does."""
    return sf.Network(
        *(
            dataclasses.replace(part, weight=0 * mS / cm**2)
            if isinstance(part, sf.Projection) and part.synapse.name == "gaba_a"
            else part
            for part in network.parts
        )
    )


# ----------------------------------------------------------------- description


@pytest.mark.parametrize("name", SETS)
def test_sizes_thresholds_and_projections(name):
    model = antennal_lobe(name, seed=4)
    assert (model.pn.size, model.ln.size) == (90, 30)
    assert (model.pn.threshold, model.ln.threshold) == ("v > 0*mV", "v > -20*mV")
    ends = [(p.pre.population.name, p.post.population.name) for p in model.network.projections]
    assert ends == [("PN", "LN"), ("LN", "PN"), ("LN", "LN")]
    for projection in model.network.projections:
        assert projection.connector.p == 0.5
        assert projection.connector.self_connections is False
    assert model.odour == (100.0, 600.0)


@pytest.mark.parametrize(
    ("name", "weights"), [("al-20hz", (0.05, 0.3, 0.02)), ("psst-2022", (0.3, 0.8, 0.8))]
)
def test_synaptic_conductances(name, weights):
    projections = antennal_lobe(name).network.projections
    assert tuple(float(p.weight.value) for p in projections) == weights


def test_the_two_slips_are_kept_where_published_and_mended_where_tuned():
    tuned, published = (antennal_lobe(name) for name in SETS)
    assert tuned.pn.model.mechanisms["ka"].name == "ka"
    assert published.pn.model.mechanisms["ka"].name == "ka_psst2022"
    assert float(tuned.ln.equations.parameters["kca.T"].value) == 26
    assert float(published.ln.equations.parameters["kca.T"].value) == 23
    assert "B1" in published.provenance
    assert "B2" in published.provenance
    assert "not published" in tuned.provenance


@pytest.mark.parametrize("name", SETS)
def test_drive(name):
    stimuli = antennal_lobe(name).network.stimuli
    bounds = {"al-20hz": ((7, 13), (1.4, 2.6)), "psst-2022": ((10, 10), (10, 10))}[name]
    for stimulus, cells, (low, high) in zip(stimuli, (30, 10), bounds, strict=True):
        amplitude = stimulus.waveform.amplitude.value
        assert len(np.unique(stimulus.target.cells)) == cells
        assert amplitude.shape == (cells,)
        assert amplitude.min() >= low - 1e-12
        assert amplitude.max() <= high + 1e-12


@pytest.mark.parametrize("name", SETS)
def test_initial_values(name):
    model = antennal_lobe(name)
    for population in (model.pn, model.ln):
        values = model.initial[population.name]
        assert set(values) == set(population.equations.states)
        voltages = values["v"].magnitude
        assert voltages.shape == (population.size,)
        assert voltages.mean() == pytest.approx(-70, abs=0.5)
        assert voltages.std() == pytest.approx(0.7, rel=0.35)
    assert model.initial["LN"]["pool.Ca"] == "2.4e-4 mM"


def test_a_seed_means_one_network():
    assert antennal_lobe(seed=3).network == antennal_lobe(seed=3).network
    first, second_ = antennal_lobe(seed=3), antennal_lobe(seed=4)
    assert first.network != second_.network
    assert not np.array_equal(
        first.network.stimuli[0].target.cells, second_.network.stimuli[0].target.cells
    )


def test_the_projections_are_wired_independently():
    joined = {}
    for projection in antennal_lobe().network.projections:
        found = projection.connections()
        matrix = np.zeros((90, 90), bool)
        matrix[found.post, found.pre] = True
        joined[projection.name] = matrix[:30, :30]
        assert len(found.pre) == pytest.approx(
            0.5 * len(projection.pre) * len(projection.post), rel=0.1
        )
    loop = joined["LN_to_LN"]
    assert not loop.diagonal().any()
    for other in ("PN_to_LN", "LN_to_PN"):
        assert (loop == joined[other]).mean() == pytest.approx(0.5, abs=0.07)


def test_no_number_of_the_model_is_in_code():
    folder = Path(sf.models.__file__).parent
    code = (folder / "antennal_lobe.py").read_text(encoding="utf-8")
    assert "mS" not in code
    for name in SETS:
        data = tomllib.loads((folder / "parameters" / f"{name}.toml").read_text(encoding="utf-8"))
        assert data["reference"]
        assert data["provenance"]


def test_the_list_of_models_builds():
    for entry in MODELS.values():
        for name in entry.parameter_sets:
            assert isinstance(entry.build(name, 1).network, sf.Network)


def test_bad_arguments():
    with pytest.raises(sf.errors.UnknownNameError, match=r"'al-20'.*Did you mean 'al-20hz'"):
        antennal_lobe("al-20")
    for seed in (-1, 1.5, True, object(), 2**63):
        with pytest.raises(sf.errors.WrongTypeError, match="a seed is an integer"):
            antennal_lobe(seed=seed)
    with pytest.raises(sf.errors.UnknownNameError):
        antennal_lobe(object())


# ------------------------------------------------------------------ statistics


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run of one second did while the odour was on."""

    peak: float | None
    rho: float
    locking: float
    driven_rate: float
    silent_before: bool


def measure(seed: int, blocked: bool) -> Measured:
    model = antennal_lobe("al-20hz", seed)
    network = without_gaba(model.network) if blocked else model.network
    pn = model.pn
    run = sf.simulate(
        network,
        1 * second,
        initial=model.initial,
        record=[pn.spikes, pn["v"].mean().every(1 * ms)],
    )
    on, off = model.odour
    potential = field_potential(run["PN.v.mean"], 1.0, on, off)
    found = power_spectrum(potential)
    spikes = run["PN.spikes"]
    driven = model.network.stimuli[0].target.cells
    during = (spikes.times >= on) & (spikes.times < off) & np.isin(spikes.cells, driven)
    locking = vector_strength(spikes.times, potential, found.peak or 20.0, start=on)
    rate = during.sum() / len(driven) / ((off - on) / 1000)
    return Measured(found.peak, found.rho, locking, rate, not (spikes.times < on).any())


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_tuned_lobe_oscillates(seed):
    # Seven seeds (1-5, 11, 12), 100 to 600 ms: peak 22.1-23.4 Hz, rho .67-.76, vector strength
    # .87-.92, driven PNs 12.3-14.1 Hz.
    found = measure(seed, blocked=False)
    assert found.silent_before
    assert found.peak is not None
    assert 18 <= found.peak <= 30
    assert found.rho >= 0.5
    assert 10 <= found.driven_rate <= 25
    assert found.locking >= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_without_gaba_the_rhythm_is_gone(seed):
    # The same seeds: peak 50-64 Hz, vector strength .10-.14, driven PNs 40-42 Hz.
    found = measure(seed, blocked=True)
    rhythm = found.peak is not None and 18 <= found.peak <= 30 and found.rho >= 0.5
    assert not rhythm
    assert found.locking < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_published_lobe_is_as_published(seed):
    # An independent C port of the notebook, six seeds: 15-96 PN spikes and 81-90 LN spikes, V in
    # [-77.5, 49.6] mV, at most .65-.90 mM Ca. Here, seeds 1 to 24: 46-114, 79-107,
    # [-78.1, 49.6] mV, .55-1.02 mM; the card is widened to hold both. (The low end of the C port
    # comes from its drive: a third of all cells, so at times more LNs and fewer PNs.)
    model = antennal_lobe("psst-2022", seed)
    pn, ln = model.pn, model.ln
    run = sf.simulate(
        model.network,
        1 * second,
        initial=model.initial,
        record=[pn.spikes, ln.spikes, pn["v"].every(1 * ms), ln["pool.Ca"].every(1 * ms)],
    )
    assert 15 <= len(run["PN.spikes"]) <= 120
    assert 78 <= len(run["LN.spikes"]) <= 110
    assert float(run["PN.v"].min()) > -79
    assert float(run["PN.v"].max()) < 50
    assert 0.5 < float(run["LN.pool.Ca"].max()) < 1.1
