"""The nonsense sweep: each argument of each public constructor is replaced by `object()`.

And by None where None means nothing. The answer is always a SomaflowError.
"""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nonsense import CASES, LEAK, Case

import somaflow as sf
from somaflow.errors import SomaflowError
from somaflow.units import mS, uA

LABELS = {("parameter", "name"), ("parameter", "where"), ("scalar", "name"), ("from_data", "name")}
SWEEP = [
    pytest.param(case, name, wrong, id=f"{title}-{name}-{'None' if wrong is None else 'object'}")
    for title, case in CASES.items()
    for name in case.arguments
    for wrong in (object(), None)
    if (title, name) not in LABELS and not (wrong is None and name in case.none)
]


@pytest.mark.parametrize("title", CASES)
def test_the_call_itself_works(title: str) -> None:
    case = CASES[title]
    case.call(**case.arguments)
    for name in case.none:
        without = ("reset", "hold") if name == "threshold" else ()
        case.call(**case.arguments | {name: None} | dict.fromkeys(without))


@pytest.mark.parametrize(("case", "name", "wrong"), SWEEP)
def test_nonsense_is_answered_with_our_own_error(case: Case, name: str, wrong: Any) -> None:
    with pytest.raises(SomaflowError) as caught:
        case.call(**case.arguments | {name: wrong})
    assert len(str(caught.value)) > 10


def test_every_public_constructor_of_the_first_column_is_swept() -> None:
    described = {
        name
        for name in sf.__all__
        if _module(name).startswith(
            ("somaflow.equations", "somaflow.mechanisms", "somaflow.network", "somaflow.compiler")
        )
    }
    swept = {title.split(".")[0].removesuffix("()") for title in CASES}
    # OneToOne has no argument; load_network and save are in test_description, math in test_math; a
    # FinalState and a Moment come out of a run.
    assert described - swept == {"FinalState", "Moment", "OneToOne", "load_network", "math"}


def test_a_solver_is_described_by_its_name_alone() -> None:
    solvers = [name for name in sf.__all__ if _module(name).startswith("somaflow.solvers")]
    assert len(solvers) == 16
    for name in solvers:
        found = inspect.signature(getattr(sf, name)).parameters.values()
        assert all(p.default is not p.empty for p in found), name


@pytest.mark.parametrize("title", CASES)
def test_every_argument_is_swept(title: str) -> None:
    call, arguments = CASES[title].call, CASES[title].arguments
    keep = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {p.name for p in inspect.signature(call).parameters.values() if p.kind in keep}
    assert named - set(arguments) <= {"line", "offset", "number", "positive", "ports", "known"}


def _module(name: str) -> str:
    stub = Path(sf.__file__).with_name("__init__.pyi").read_text()
    for line in stub.splitlines():
        if line.endswith(f" as {name}"):
            return "somaflow" + line.split()[1] if line.split()[1] != "." else f"somaflow.{name}"
    raise AssertionError(name)


DESCRIBE = """
import sys
import numpy as np
import somaflow as sf
from somaflow.units import cm, mS, mV, ms, uA, uF
ch, syn, S = sf.catalogue("channels"), sf.catalogue("synapses"), mS/cm**2
pn = sf.Population("PN", 90, sf.Neuron(1*uF/cm**2, na=ch.na_traub1991, k=ch.k_traub1991, ka=ch.ka,
                                       leak=ch.leak(g=0.15*S, E=-55*mV)), threshold="v > 0*mV")
ln = sf.Population("LN", 30, sf.Neuron(1*uF/cm**2, ca=ch.ca, kca=ch.kca, pool=sf.load("ca_decay"),
                                       k=ch.k_traub1991), threshold="v > -20*mV")
half = sf.FixedProbability(0.5, seed=1, self_connections=False)
odour = sf.SaturatingPulse(10*uA/cm**2, on=100*ms, off=600*ms, rise=75*ms, decay=150*ms)
net = sf.Network(pn, ln, sf.Projection(pn, ln, syn.nach, half), sf.Projection(ln, pn, syn.gaba_a),
                 sf.Projection(ln, ln, syn.gaba_a(g=0.02*S), half), sf.Stimulus(pn[:30], odour))
record = [pn.spikes, pn["v"].every(1*ms), ln["v"].mean()]
assert len(net.projections[0].connections().pre) > 1000
loaded = {"tensorflow", "matplotlib", "xarray", "zarr"} & set(sys.modules)
print("loaded:", sorted(loaded))
"""


def test_describing_an_antennal_lobe_loads_no_tensorflow() -> None:
    command = [sys.executable, "-c", DESCRIBE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "loaded: []"


def test_arrays_of_nonsense() -> None:
    for wrong in (np.array([object()]), np.array(["a"]), np.zeros(3, complex), np.zeros(0, bool)):
        with pytest.raises(SomaflowError):
            sf.Step(wrong)
        with pytest.raises(SomaflowError):
            sf.Neuron(wrong)
        with pytest.raises(SomaflowError):
            LEAK(g=wrong * mS if wrong.dtype.kind == "c" else wrong)
    with pytest.raises(SomaflowError):
        sf.Step(float("nan") * uA)
