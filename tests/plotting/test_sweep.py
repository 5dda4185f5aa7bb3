"""The figure of a sweep: what is drawn over how many axes, and how failed members are marked."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

import somaflow as sf

AXES = {
    "LN_to_PN.g": (np.array([0.0, 0.2, 0.6]), "mS/cm**2"),
    "drug": (np.array(["none", "TTX"]), "1"),
    "tau": (np.array([1.0, 10.0, 100.0, 1000.0]), "ms"),
    "E": (np.array([-50.0, -70.0]), "mV"),
    "seed": (np.arange(1, 4), "1"),
    "trial": (np.arange(2), "1"),
}


def made(*dims, bad=()):
    """A result whose rates number the members from 0 on; some of them failed."""
    shape = [len(AXES[dim][0]) for dim in dims]
    rates = np.arange(np.prod(shape), dtype=float).reshape(shape)
    failure = np.full(shape, "", "<U20")
    for place in bad:
        rates[place], failure[place] = np.nan, "PN.v[2] is NaN"
    return xr.Dataset(
        {
            "PN.rate": (dims, rates, {"units": "Hz"}),
            "PN.size": (dims, rates / 2, {"units": "um**2"}),
            "PN.v": ((*dims, "PN.v.time"), np.zeros((*shape, 3)), {"units": "mV"}),
            "failure": (dims, failure),
        },
        {dim: (dim, AXES[dim][0], {"units": AXES[dim][1]}) for dim in dims},
    )


def drawn(figure):
    """What a reader sees: the labels of the panels, and the colour bars apart."""
    FigureCanvasAgg(figure).draw()
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return panels, [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def heights(mesh):
    return np.ma.filled(mesh.get_array(), np.nan)


def test_one_axis_is_a_line_for_each_variable():
    (upper, lower), bars = drawn(sf.plotting.sweep(made("LN_to_PN.g"), title="Lobe"))
    assert not bars
    np.testing.assert_array_equal(upper.lines[0].get_xdata(), [0, 0.2, 0.6])
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), [0, 1, 2])
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("PN.rate (Hz)", "PN.size (um²)")
    assert lower.get_xlabel() == "LN_to_PN.g (mS/cm²)"
    assert upper.figure.get_suptitle() == "Lobe"


def test_repeats_are_a_mean_with_a_band():
    result = made("tau", "seed", "trial")
    (ax,), _ = drawn(sf.plotting.sweep(result, "PN.rate"))
    values = result["PN.rate"].values.reshape(4, 6)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), values.mean(1))
    band = ax.collections[0].get_paths()[0].vertices
    at_ten = band[np.isclose(band[:, 0], 10), 1]
    spread = values[1].std(ddof=1)
    np.testing.assert_allclose(
        sorted(at_ten)[:: len(at_ten) - 1], [values[1].mean() - spread, values[1].mean() + spread]
    )
    assert (
        ax.figure.get_supxlabel()
        == "mean over 3 seeds x 2 trials; the band is one standard deviation"
    )
    assert ax.get_xscale() == "log"


def test_seeds_alone_are_an_axis():
    (ax,), _ = drawn(sf.plotting.sweep(made("seed", "trial"), "PN.rate"))
    assert ax.get_xlabel() == "seed"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.5, 2.5, 4.5])


def test_text_stands_below_points_without_a_line():
    (ax,), _ = drawn(sf.plotting.sweep(made("drug", "seed"), "PN.rate"))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["none", "TTX"]
    assert ax.lines[0].get_linewidth() == 0


def test_numbers_stand_in_their_order():
    (ax,), _ = drawn(sf.plotting.sweep(made("E"), "PN.rate"))
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [-70, -50])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, 0])


def test_two_axes_are_a_heat_map():
    figure = sf.plotting.sweep(made("LN_to_PN.g", "drug", "seed"), "PN.rate")
    (ax,), (bar,) = drawn(figure)
    np.testing.assert_array_equal(heights(ax.collections[0]), [[1, 7, 13], [4, 10, 16]])
    corners = ax.collections[0].get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [-0.1, 0.1, 0.4, 0.8])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("LN_to_PN.g (mS/cm²)", "drug")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["none", "TTX"]
    assert bar.get_ylabel() == "PN.rate (Hz)"
    assert figure.get_supxlabel() == "mean over 3 seeds"


def test_three_axes_are_small_multiples_of_one_scale():
    figure = sf.plotting.sweep(made("LN_to_PN.g", "tau", "E"))
    panels, bars = drawn(figure)
    assert [ax.get_title() for ax in panels] == ["E = -70 mV", "E = -50 mV"] * 2
    assert [bar.get_ylabel() for bar in bars] == ["PN.rate (Hz)", "PN.size (um²)"]
    meshes = [ax.collections[0] for ax in panels]
    np.testing.assert_array_equal(heights(meshes[0])[:, 0], [1, 3, 5, 7])
    np.testing.assert_array_equal(heights(meshes[1])[:, 0], [0, 2, 4, 6])
    assert {mesh.get_clim() for mesh in meshes[:2]} == {(0, 23)}


def test_failed_members_of_a_line_are_crossed():
    figure = sf.plotting.sweep(made("LN_to_PN.g", "seed", bad=[(1, 0), (2,)]), "PN.rate")
    (ax,), _ = drawn(figure)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, 4.5, np.nan])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0.2, 0.6])
    assert ax.lines[1].get_marker() == "x"
    assert words(figure) == ["members failed"]


def test_failed_members_of_a_heat_map_are_hatched_or_crossed():
    figure = sf.plotting.sweep(
        made("LN_to_PN.g", "drug", "seed", bad=[(1, 0, 2), (2, 1)]), "PN.rate"
    )
    (ax,), _ = drawn(figure)
    (patch,) = ax.patches
    assert patch.get_hatch()
    np.testing.assert_allclose(patch.get_bbox().extents, [0.4, 0.5, 0.8, 1.5])
    np.testing.assert_array_equal(np.ravel(ax.lines[0].get_data()), [0.2, 0])
    assert words(figure) == ["some members failed", "failed"]


def test_what_has_no_value_is_neither():
    result = made("tau", "drug")
    result["PN.rate"][0] = np.nan
    figure = sf.plotting.sweep(result, "PN.rate")
    assert len(drawn(figure)[0][0].patches) == 0
    assert words(figure) == ["no value"]
    nothing = sf.plotting.sweep(result.isel(tau=[0]), "PN.rate")
    panels, bars = drawn(nothing)
    assert [text.get_text() for text in panels[0].texts] == ["no value"]
    assert (bars, panels[0].get_title()) == ([], "PN.rate (Hz)")
    line = sf.plotting.sweep(result.isel(tau=0), "PN.rate")
    assert [text.get_text() for text in drawn(line)[0][0].texts] == ["no value"]


def test_a_list_of_points_is_drawn_over_what_they_differ_in():
    labels = {
        "point": ("point", np.arange(3)),
        "PN.g": ("point", [3.0, 1.0, 2.0], {"units": "mS"}),
    }
    data = {"n": ("point", [30, 10, 20]), "failure": ("point", ["", "", ""])}
    one = xr.Dataset(data, labels)
    (ax,), _ = drawn(sf.plotting.sweep(one))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [10, 20, 30])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("PN.g (mS)", "n")
    several = xr.Dataset(data, labels | {"PN.E": ("point", [1, 2, 3])})
    (ax,), _ = drawn(sf.plotting.sweep(several))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [30, 10, 20])
    assert (ax.get_xlabel(), ax.lines[0].get_linewidth()) == ("point", 0)
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_an_axis_says_of_which_part_of_a_run_a_number_is():
    data = {"n": ("x", [1.0, 2.0], {"units": "Hz", "window": "whole run"})}
    (ax,), _ = drawn(sf.plotting.sweep(xr.Dataset(data, {"x": [1, 2]})))
    assert ax.get_ylabel() == "n (Hz, whole run)"


def test_part_of_a_result_can_be_drawn(tmp_path):
    result = made("LN_to_PN.g", "drug", "tau", "E")
    with pytest.raises(sf.errors.WrongTypeError, match=r"4 axes.*result\.isel\(\{'E': 0\}\)"):
        sf.plotting.sweep(result)
    figure = sf.plotting.sweep(result.sel(E=-50).isel({"tau": [0, 1]}))
    figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.plotting.sweep(object()), r"the result of sf\.sweep"),
        (lambda: sf.plotting.sweep(made("tau"), title=3), "title is a text"),
        (lambda: sf.plotting.sweep(made("tau"), "PN.rat"), r"Did you mean 'PN\.rate'"),
        (lambda: sf.plotting.sweep(made("tau"), "failure"), "no numbers 'failure'"),
        (lambda: sf.plotting.sweep(made("tau"), []), "variable is a name"),
        (lambda: sf.plotting.sweep(made("tau"), 3), "variable is a name"),
        (lambda: sf.plotting.sweep(made("tau"), "PN.v"), r"the axes 'PN\.v\.time' beside"),
        (lambda: sf.plotting.sweep(made("tau").isel(tau=0)), "no variable|one member"),
        (lambda: sf.plotting.sweep(made("tau")[["PN.v", "failure"]]), "sf.sweep.*reduce='rate'"),
        (
            lambda: sf.plotting.sweep(made("E", "tau", "drug").isel(drug=[0] * 13)),
            "third axis, 'drug', has 13",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(call, message):
    with pytest.raises(sf.errors.SomaflowError, match=message):
        call()
