"""somaflow: large simulations of biological neural networks, on TensorFlow.

Names are imported on first use, so that describing a network does not load TensorFlow.

The rooms, from the ground up:

- `errors`: what goes wrong, in classes that are builtin kinds too.
- `notation`: texts from outside as trees, bounded before they are read.
- `given`: what a user gave: shown, and taken as a flag, a path or an array.
- `elsewhere`: what is called otherwise elsewhere: arguments, attributes, names of the package.
- `units`: quantities, by pint.
- `description`: descriptions: frozen dataclasses, to JSON and back.
- `difference`: what differs between two descriptions.
- `equations`: equations as text: parsed, checked, taken apart.
- `mechanisms`: channels, synapses, pools and neurons as TOML files, and their catalogue.
- `network`: populations, projections, connectors, stimuli, recorders; forms of synapses.
- `numerics`: arrays: random numbers, delivery of spikes, sums of fixed order, devices.
- `solvers`: one step of a method; they see a vector field.
- `simulation`: loops over steps: of a network's clock, and of `sf.solve`.
- `storage`: where results go and what lies there: sinks, the Zarr store, checkpoints, damage.
- `compiler`: from descriptions to pure functions of tensors; `compiler/diagnosis` says why a
  state was not finite.
- `settings`: checks that `sf.simulate` and `sf.solve` share, and what a result keeps.
- `running`: one run of a network: what was asked for, execution, writers, progress, log.
- `workers`: one network on several workers: its shares, what they exchange, and who carries it.
- `planning`: what a run would need of memory, disk and time.
- `solving`: what `sf.solve` does beside its loops.
- `quiet`: loads TensorFlow without its chatter.
- `run`: runs of networks, begun and gone on with.
- `facade`: `sf.simulate`, `sf.resume` and `sf.plan`: arguments, checked before TensorFlow is
  loaded.
- `models`: published networks.
- `analysis`: spectra, rates, synchrony.
- `plotting`: figures.
- `sweeping`: many runs of one model: what varies, where its members are computed, one result.
- `tutorials`: the course: its notebooks, and checks of what students answer.
- `lab`: a page for the lecture hall, over runs computed beforehand.
- `cli`: the command line.
"""

import lazy_loader

from somaflow.elsewhere import answering, name_of_package
from somaflow.quiet import loaded

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if error := name_of_package(name):
        raise error
    return answering(loaded(_load, name))
