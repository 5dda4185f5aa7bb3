"""Draw the curves of `.bench/results/scaling.json` to `docs/images/scaling.png`."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from harness import kept
from matplotlib.ticker import NullFormatter
from scaling.measure import Point

ROOT = Path(__file__).parents[2]
COLUMNS = 4


def main() -> None:
    """Draw one panel for each curve: costs, and references dashed."""
    found = kept.kept("scaling")
    if not found:
        sys.exit("nothing is kept yet: python benchmarks/run.py scaling")
    points = [Point(**point) for curve in found.values() for point in curve.found]
    curves = list(dict.fromkeys(point.curve for point in points))
    rows = -(-len(curves) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(3 * COLUMNS, 2.3 * rows), layout="constrained", squeeze=False
    )
    for panel in axes.flat[len(curves) :]:
        panel.remove()
    for panel, curve in zip(axes.flat, curves, strict=False):
        mine = [point for point in points if point.curve == curve]
        panel.loglog([p.size for p in mine], [p.cost for p in mine], "o-", color="C0")
        beside = [p for p in mine if p.reference is not None]
        if beside:
            panel.loglog(
                [p.size for p in beside],
                [p.reference for p in beside],
                "s--",
                color="0.5",
                label=beside[0].what,
            )
            panel.legend(fontsize=6, frameon=False)
        # A decade at least, so that what is flat looks flat.
        low, high = panel.get_ylim()
        spare = max(1.0, (10 * low / high) ** 0.5)
        panel.set_ylim(low / spare, high * spare)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_formatter(NullFormatter())
        panel.set_title(curve, fontsize=7)
        panel.set_ylabel(mine[0].unit, fontsize=7)
        panel.tick_params(labelsize=6)
    figure.savefig(ROOT / "docs" / "images" / "scaling.png", dpi=130)


if __name__ == "__main__":
    main()
