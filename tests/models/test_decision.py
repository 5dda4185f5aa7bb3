"""The decision network, held to its published numbers; its runs are in tests/references."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.models import decision

# Wang (2002), doi:10.1016/S0896-6273(02)01092-9; each is written down here once more. nS.
CONDUCTANCES = {
    "ampa E to E": 0.05, "ampa E to I": 0.04, "nmda E to E": 0.165, "nmda E to I": 0.13,
    "gaba I to E": 1.3, "gaba I to I": 1.0,
}  # fmt: skip
PLUS, SHARE = 1.7, 0.15
MINUS = 1 - SHARE * (PLUS - 1) / (1 - SHARE)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_sizes_and_conductances(scale: float) -> None:
    model = decision(scale=scale)
    sizes = {p.name: p.size for p in model.network.populations}
    assert sizes == {"E": round(1600 * scale), "I": round(400 * scale)}
    assert [len(group) for group in model.groups.values()] == [round(240 * scale)] * 2
    assert {p.name for p in model.network.projections} == set(CONDUCTANCES)
    for projection in model.network.projections:
        made = projection.connections()
        assert len(made) == len(projection.pre) * len(projection.post)
        total = made.coherent.sum() / len(projection.post) * 1e6  # nS onto a cell
        unscaled = CONDUCTANCES[str(projection.name)] * (400 if "gaba" in projection.name else 1600)
        assert total == pytest.approx(unscaled)
        assert projection.one_delay == 0.5


def test_cells_of_one_group_are_joined_more_strongly() -> None:
    made = decision(scale=0.1).network.projection("nmda E to E").connections()
    found = np.zeros((160, 160))
    found[made.pre, made.post] = made.coherent * 1e6 / 1.65
    group = np.repeat([0, 1, 2], [24, 24, 112])
    pre, post = group[:, None], group[None]
    expected = np.where(post == 2, 1, np.where(pre == post, PLUS, MINUS))
    np.testing.assert_allclose(found, expected)


def test_cells_and_background() -> None:
    network = decision(scale=0.1).network
    excite, inhibit = network.populations
    for cells, numbers in ((excite, (0.5, 25, 2)), (inhibit, (0.2, 20, 1))):
        found = {name: float(p.value) for name, p in cells.equations.parameters.items()}
        found["refractory"] = float(cells.refractory.value)
        # The coherent system has uF and mS.
        expected = {"C": numbers[0] / 1e3, "g_L": numbers[1] / 1e6, "refractory": numbers[2]}
        expected |= {"V_L": -70, "V_threshold": -50, "V_reset": -55}
        assert {name: found[name] for name in expected} == pytest.approx(expected)
        assert cells.equations.initial["v"] == "V_reset + (V_threshold - V_reset) * rand()"
    for source, weight in zip(network.inputs, (2.1, 1.62, 2.1, 2.1), strict=True):
        assert float(source.weight.value) * 1e6 == pytest.approx(weight)
    for source in network.inputs[:2]:
        assert source.n * source.rate.value * 1000 == pytest.approx(2400)


def rates(coherence: float, seed: int = 1) -> np.ndarray:
    """The rates of the motion's input in Hz, [n_samples, 2]."""
    sources = decision(seed=seed, scale=0.1, coherence=coherence).network.inputs[2:]
    return np.stack([source.rate.samples.value * 1000 for source in sources], axis=1)


def test_the_motion_is_drawn_anew_every_50_ms_for_a_second() -> None:
    model = decision(scale=0.1)
    assert model.motion == (500, 1500)
    assert [len(source.post) for source in model.network.inputs[2:]] == [24, 24]
    for source in model.network.inputs[2:]:
        assert (source.rate.start, source.rate.every) == (500, 50)
    assert rates(0).shape == (21, 2)
    assert np.all(rates(0)[-1] == 0)
    drawn = np.concatenate([rates(25.6, seed)[:-1] for seed in range(20)])
    assert drawn.mean(axis=0) == pytest.approx([40 * 1.256, 40 * 0.744], abs=4 * 4 / 20)
    assert drawn.std(axis=0) == pytest.approx([4, 4], rel=0.15)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2
    np.testing.assert_array_equal(rates(0, 3), rates(0, 3))
    assert rates(-100)[:-1, 0].min() >= 0


def test_bad_arguments() -> None:
    with pytest.raises(sf.errors.UnknownNameError, match=r"no parameter set 'wang'.*'wang-2002'"):
        decision("wang")
    for coherence in ("full", None, True, float("nan")):
        with pytest.raises(sf.errors.WrongTypeError, match="a coherence is a number"):
            decision(coherence=coherence)  # pyright: ignore
    for coherence in (100.5, -101):
        with pytest.raises(sf.errors.NetworkError, match="from -100 to 100"):
            decision(coherence=coherence)
    with pytest.raises(sf.errors.WrongTypeError, match="a scale is a number"):
        decision(scale="half")  # pyright: ignore
    with pytest.raises(sf.errors.NetworkError, match="above 0 and at most 1"):
        decision(scale=2)
    with pytest.raises(sf.errors.NetworkError, match=r"a selective group has no cell; .* 0.0042"):
        decision(scale=0.001)
    with pytest.raises(sf.errors.WrongTypeError, match="seed"):
        decision(seed=-1)
