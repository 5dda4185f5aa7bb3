"""What is refused before TensorFlow is loaded, which takes seconds."""

import subprocess
import sys

import pytest

BEFORE = """
import sys
import somaflow as sf
from somaflow.units import ms, mV, nA

cells = sf.Population("cells", 2, sf.load("lif"))
network = sf.Network(cells)
decay = sf.Equations.parse("dx/dt = -x/tau : 1", tau=1*ms, x=1)

try:
    {call}
except (TypeError, ValueError) as error:
    print(type(error).__name__, "tensorflow" in sys.modules)
"""
OF_RUNS = {
    "1*mV": "UnitError",
    "-1*ms": "RunError",
    "0.015*ms": "RunError",
    "1*ms, step=0.1*ms": "WrongTypeError",
    "1*ms, dt=1*nA": "UnitError",
    "1*ms, solver='rk4'": "WrongTypeError",
    "1*ms, dtype='float16'": "WrongTypeError",
    "1*ms, seed=-1": "WrongTypeError",
    "1*ms, record='spikes'": "WrongTypeError",
    "1*ms, record=cells['v'].every(0.015*ms)": "RunError",
    "1*ms, record=sf.Recorder('other', 'v')": "UnknownNameError",
    "1*ms, initial=-65": "WrongTypeError",
    "1*ms, sink=3": "WrongTypeError",
    "1*ms, checkpoint=1*ms": "RunError",
}
OF_SOLVES = {
    "decay, t1=1*mV": "UnitError",
    "decay, t1=0*ms": "RunError",
    "decay": "TypeError",
    "decay, t1=1*ms, step=1*ms": "WrongTypeError",
    "decay, t1=1*ms, dt=-0.1*ms": "RunError",
    "decay, t1=1*ms, dt=0.3*ms": "RunError",
    "decay, t1=1*ms, dt=0.1*ms, rtol=1e-3": "RunError",
    "decay, t1=1*ms, solver='tsit5'": "WrongTypeError",
    "decay, t1=1*ms, at=[0, 2]": "RunError",
    "decay, t1=1*ms, max_steps=0": "RunError",
    "decay, t1=1*ms, batch='1'": "WrongTypeError",
    "decay, t1=1*ms, dtype=float": "WrongTypeError",
}
CALLS = {f"sf.simulate(network, {given})": kind for given, kind in OF_RUNS.items()}
CALLS |= {f"sf.plan(network, {given})": kind for given, kind in OF_RUNS.items()}
CALLS |= {f"sf.solve({given})": kind for given, kind in OF_SOLVES.items()}
CALLS |= {
    "sf.simulate(network, 1*ms, progress=3)": "WrongTypeError",
    "sf.resume('a.zarr', exact=1)": "WrongTypeError",
    "sf.resume('a.zarr', solver='rk4')": "WrongTypeError",
}


@pytest.fixture(scope="module")
def refusals() -> dict[str, str]:
    """What each call raises, and whether TensorFlow is loaded then; all in one fresh process."""
    head, _, tail = BEFORE.partition("try:")
    tries = "".join("try:" + tail.format(call=call) for call in CALLS)
    command = [sys.executable, "-c", head + tries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return dict(zip(CALLS, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("call", CALLS)
def test_what_cannot_be_is_refused_before_tensorflow_is_loaded(
    call: str, refusals: dict[str, str]
) -> None:
    assert refusals[call] == f"{CALLS[call]} False"
