"""What holds populations together in one share, and how a division of a network is told."""

import pytest

import somaflow as sf
from somaflow.network.ties import Division, Held, goes_by_spikes, together, told_within
from somaflow.units import ms, mV, nA, nS

DT = 0.1
SYNAPSES = sf.catalogue("synapses")
GAP = sf.catalogue("synapses").gap_junction(g=1 * nS)


def cells(name: str) -> sf.Population:
    return sf.Population(name, 8, sf.load("lif"), refractory=2 * ms)


A, B, C = cells("A"), cells("B"), cells("C")


def joined(model=SYNAPSES.exponential_current, name="on", pre=A, post=B, **more) -> sf.Projection:
    given = {"weight": 1 * nA, "delay": 1 * ms} | more
    return sf.Projection(pre, post, model, name=name, **given)


def test_spikes_that_arrive_a_step_later_hold_nothing_together():
    one = joined()
    assert goes_by_spikes(one, DT)
    assert together(sf.Network(A, B, one), [A.spikes, A["v"]], DT) == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"delay": 0 * ms}, "delays are shorter than a step in on"),
        ({"delay": 0.04 * ms}, "delays are shorter than a step in on"),
        (
            {"delay": sf.Uniform(0.04 * ms, 2 * ms)},
            "delays differ and may be shorter than a step in on",
        ),
        (
            {"delay": sf.LogNormal(2 * ms, 1 * ms)},
            "delays differ and may be shorter than a step in on",
        ),
        (
            {"model": GAP, "weight": None, "delay": None},
            "presynaptic variables are read in on",
        ),
    ],
)
def test_what_meets_within_a_step_is_held_together_and_it_is_said_by_what(more, reason):
    given = {name: value for name, value in more.items() if value is not None}
    if None in more.values():
        one = sf.Projection(A, B, given["model"], name="on")
    else:
        one = joined(**given)
    network = sf.Network(A, B, C, one, joined(name="far", pre=B, post=C))
    (held,) = together(network, [], DT)
    assert held.names == ("A", "B")
    assert held.reasons[0].startswith(reason)  # and its way back


def test_projections_whose_delays_differ_are_shared_with_all_that_wait_for_the_same_spikes():
    far = joined(name="far", post=C, delay=sf.Uniform(1 * ms, 2 * ms))
    assert goes_by_spikes(far, DT)
    assert together(sf.Network(A, C, far), [], DT) == []
    near = joined(delay=sf.Uniform(0 * ms, 2 * ms))
    (held,) = together(sf.Network(A, B, C, near, far), [], DT)
    assert held.names == ("A", "B", "C")
    assert held.reasons == (
        "delays differ and may be shorter than a step in on",
        "delays differ, and others of the same synapse are not shared in far",
    )
    other = joined(SYNAPSES.exponential_current(tau=9 * ms), "far", A, C, delay=far.delay)
    (held,) = together(sf.Network(A, B, C, near, other), [], DT)
    assert held.names == ("A", "B")


def test_links_rules_and_reductions_hold_too():
    text = "dv/dt = (H - v)/tau : mV\nH : mV"
    reading = sf.Equations.parse(text, tau=10 * ms)
    reader = sf.Population("reader", 8, reading, links={"H": A["v"]})
    network = sf.Network(A, B, reader)
    held = together(network, [B["v"].mean()], DT)
    assert [one.names for one in held] == [("A", "reader"), ("B",)]
    assert str(held[0]) == "A, reader: variables of other cells are read in reader (A.v)"
    assert str(held[1]) == "B: all cells are recorded as one in B.v.mean"


def test_a_division_is_told_and_so_is_that_it_gains_little():
    held = Held(("A", "B"), ("delays are shorter than a step in on",))
    fair = Division(({"A": 8, "B": 8}, {"C": 16}), 10, 1.0, (held,))
    assert "32 cells" in fair.doubt() and "sf.sweep" in fair.doubt()
    many = Division(({"A": 80_000}, {"C": 80_000}), 10, 1.0, ())
    assert many.doubt() == ""
    often = Division(({"A": 80_000}, {"C": 80_000}), 1, 0.1, (), at_least=True)
    assert "every 10 steps" in often.doubt()
    assert str(often).endswith("1 step, 0.1 ms, or more")
    lines = str(fair).splitlines()
    assert [line.split(maxsplit=2)[-1] for line in lines[:2]] == ["A 8, B 8", "C 16"]
    assert lines[2].endswith("10 steps, 1 ms")
    assert lines[3].endswith(f"A, B: {held.reasons[0]}")
    all_in_one = Division(({"A": 80, "B": 8}, {}), 10, 1.0, (held,))
    for words in ("of 2 workers one has all cells", held.reasons[0], "sf.sweep"):
        assert words in all_in_one.doubt()
    most = Division(({"A": 80, "B": 8}, {"C": 2}), 10, 1.0, (held,))
    assert "88 of 90 cells" in most.doubt()
    small = Division(({"C": 8}, {}), 10, 1.0, ())
    assert "blocks of 16" in small.doubt()


def test_of_many_projections_three_are_named():
    every = [joined(name=f"p{k}", delay=0 * ms) for k in range(5)]
    (held,) = together(sf.Network(A, B, *every), [], DT)
    assert held.reasons == ("delays are shorter than a step in p0, p1, p2 and 2 more",)


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (joined(delay=0 * ms), True),
        (sf.Projection(A, B, GAP, name="on"), True),
        (joined(SYNAPSES.graded_conductance, weight=1 * nS, delay=0 * ms), True),
        (joined(SYNAPSES.ampa, weight=1 * nS, delay=0 * ms), True),
        (joined(delay=sf.Uniform(0 * ms, 2 * ms)), False),
        (joined(SYNAPSES.graded_conductance, weight=1 * nS, delay=1 * ms), False),
        (joined(SYNAPSES.nmda_saturating, weight=1 * nS, delay=1 * ms), True),
        (joined(SYNAPSES.stdp_clopath, weight=1 * nS, delay=0 * ms), False),
    ],
)
def test_what_can_be_told_within_a_step_holds_nothing_where_it_is(one, told):
    network = sf.Network(A, B, one)
    assert not goes_by_spikes(one, DT)
    assert told_within(one, DT) is told
    assert together(network, [], DT)
    assert bool(together(network, [], DT, staged=True)) is not told


def test_currents_that_are_looked_at_after_each_step_hold_together_and_so_do_means_of_gates():
    one = joined(SYNAPSES.graded_conductance, weight=1 * nS, delay=0 * ms)
    network = sf.Network(A, B, one)
    over_time = [B["I_stim"].every(1 * ms, "mean")], [one["I"].every(1 * ms, "max")]
    for record in over_time:
        (held,) = together(network, record, DT, staged=True)
        assert held.names == ("A", "B")
    (held,) = together(network, [one["s"].mean()], DT, staged=True)
    assert held.names == ("A",)  # which have the gates
    assert together(network, [B["v"].every(1 * ms, "mean"), B["I_stim"]], DT, staged=True) == []


def test_noise_that_is_driven_holds_together_what_could_be_told():
    text = "dv/dt = -v/tau + (s + {})*xi : mV\nI : nA"
    parts = []
    for name, driven in (("R", "I*(1*Mohm/ms**0.5)"), ("T", "0*s")):
        model = sf.Equations.parse(text.format(driven), tau=10 * ms, s=1 * mV / ms**0.5)
        parts.append(sf.Population(name, 8, model, threshold="v > 1*mV", reset="v = 0*mV"))
    loud, still = parts
    for cells_, count in ((loud, 1), (still, 0)):
        one = joined(pre=A, post=B, delay=0 * ms)
        assert len(together(sf.Network(A, B, cells_, one), [], DT, staged=True)) == count


def test_exchanges_within_a_step_are_told_and_so_is_what_they_cost():
    told = {"told": ("ab", "ba"), "exchanges": 6}
    division = Division(({"A": 8}, {"B": 8}), 1, 0.1, (), **told)
    assert "6 exchanges" in str(division) and "for ab, ba" in str(division)
    for words in ("6 exchanges", "ab, ba", "12 ms", "sf.sweep"):
        assert words in division.doubt()
    assert "within" not in str(Division(({"A": 8}, {"B": 8}), 1, 0.1, ()))
