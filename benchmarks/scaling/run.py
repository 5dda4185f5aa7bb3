"""Cost in proportion to the work, as curves beside references: see README.md."""

import os

os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse

from harness import kept
from scaling import building, graded, recording, spiking
from scaling.measure import Point

CURVES = {
    curve.__name__: curve
    for curve in (
        graded.sparse,
        graded.all_to_all,
        graded.oscillators,
        spiking.cells,
        spiking.rates,
        spiking.varied_delays,
        spiking.one_delay,
        spiking.conductances,
        building.populations,
        building.projections,
        building.stimuli,
        building.wiring,
        building.lists,
        recording.recorded_cells,
        recording.recorders,
        recording.steps,
        recording.pictures,
    )
}


def main() -> None:
    """Measure, print a line for each point, and say in the end which goals are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    points: list[Point] = []
    for name in options.only:
        for point in CURVES[name](options.rounds):
            print(point, flush=True)
            points.append(point)
    kept.keep(
        "scaling",
        {
            curve: [point._asdict() for point in points if point.curve == curve]
            for curve in dict.fromkeys(point.curve for point in points)
        },
    )
    asked = [point for point in points if point.met is not None]
    missed = [point for point in asked if not point.met]
    print(f"\n{len(asked) - len(missed)} of {len(asked)} goals are met; missed:")
    for point in missed:
        print(f"  {point}")


if __name__ == "__main__":
    main()
