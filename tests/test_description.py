import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow import description
from somaflow.description import decode, encode, fingerprint
from somaflow.errors import StoreError, WrongTypeError
from somaflow.network.network import Network, load_network

AGAIN = """
import pickle, sys
import somaflow as sf
from somaflow.description import fingerprint
folder = sys.argv[1]
network = sf.load_network(folder + "/a.npz")
with open(folder + "/a.pickle", "rb") as file:
    pickled = pickle.load(file)
assert pickled == network
network.save(folder + "/b.npz")
assert "tensorflow" not in sys.modules
print(fingerprint(network), fingerprint(pickled))
"""


def test_a_fresh_process_reads_a_network_to_the_same_bits(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "a.npz")
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(network))
    command = [sys.executable, "-c", AGAIN, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == [fingerprint(network)] * 2
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as second:
        assert first.files == second.files
        for name in first.files:
            assert first[name].dtype == second[name].dtype
            assert first[name].tobytes() == second[name].tobytes()


def test_reading_gives_an_equal_network(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "a.npz")
    read = load_network(tmp_path / "a.npz")
    assert read == network
    assert hash(read) == hash(network)
    for old, new in zip(network.projections, read.projections, strict=True):
        before, after = old.connections(), new.connections()
        for name in ("pre", "post", "weight"):
            assert getattr(before, name).tobytes() == getattr(after, name).tobytes()


def test_populations_stay_one_object(lobe: Network) -> None:
    read = pickle.loads(pickle.dumps(lobe))
    assert read.projections[0].pre.population is read.populations[0]
    assert read.stimuli[0].target.population is read.populations[0]


def test_copies_are_equal(network: Network) -> None:
    assert copy.deepcopy(network) == network
    assert copy.copy(network) == network


def test_equations_that_differ_in_numbers_alone_are_read_with_their_own() -> None:
    def cells(k: int) -> sf.Population:
        squid = sf.load("hodgkin_huxley_1952")
        mV = sf.units.mV
        return sf.Population(
            "cells", 2, squid(g_k=30 + k, E_k=sf.Normal(-77 * mV, k * mV), v=[-60, k])
        )

    for one in map(cells, (1, 2, 3)):
        read = pickle.loads(pickle.dumps(one))
        assert fingerprint(read) == fingerprint(one)
        for name, parameter in one.equations.parameters.items():
            assert read.equations.parameters[name].value.tobytes() == parameter.value.tobytes()
        first = read.equations.initial_values({}, "cells")
        for state, values in one.equations.initial_values({}, "cells").items():
            assert first[state].tobytes() == values.tobytes()


def test_a_changed_number_changes_the_fingerprint() -> None:
    one = sf.load("lif")(tau=20.0)
    other = sf.load("lif")(tau=np.nextafter(20.0, 21.0))
    assert one == sf.load("lif")
    assert one != other
    assert fingerprint(one) != fingerprint(other)


def test_things_of_two_kinds_are_unequal() -> None:
    assert sf.AllToAll() != sf.OneToOne()
    assert sf.AllToAll() != "AllToAll"


def test_the_form_is_plain_json(lobe: Network) -> None:
    text, arrays = encode(lobe)
    assert json.loads(text)["format"] == description.FORMAT
    assert all(array.dtype.kind in "if" for array in arrays)


def test_what_has_no_serial_form_is_named() -> None:
    with pytest.raises(StoreError, match="a object has no serial form"):
        encode((1, object()))


def test_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 99"):
        decode('{"format": 99, "root": 1}', [])


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(StoreError, match="unknown class 'Gone'"):
        decode('{"format": 1, "root": {"$class": "Gone"}}', [])


def _text(path: Path) -> None:
    path.write_text("this is no archive")


def _half(path: Path) -> None:
    sf.Network(sf.Population("a", 1, sf.load("lif"))).save(path)
    path.write_bytes(path.read_bytes()[:300])


def _other_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def _array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _wrong_fields(path: Path) -> None:
    with path.open("wb") as file:
        text = '{"format": 1, "root": {"$class": "AllToAll", "colour": 3}}'
        np.savez(file, description=np.array(text))


def _no_json(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, description=np.array("{"))


@pytest.mark.parametrize(
    "write",
    [_text, _half, _other_archive, _array, _empty, _wrong_fields, _no_json, Path.mkdir],
)
def test_a_damaged_or_other_file_is_our_error(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write(path)
    with pytest.raises(StoreError, match=r"x\.npz"):
        sf.load_network(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no file .*gone\.npz"):
        sf.load_network(tmp_path / "gone.npz")


def test_another_description_is_no_network(tmp_path: Path) -> None:
    description.save(sf.AllToAll(), tmp_path / "x.npz")
    with pytest.raises(StoreError, match="holds a AllToAll, not a Network"):
        sf.load_network(tmp_path / "x.npz")


def test_a_folder_that_is_not_there_is_named(lobe: Network, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write .*gone"):
        lobe.save(tmp_path / "gone" / "x.npz")


@pytest.mark.parametrize("path", [object(), None, 1])
def test_a_path_is_a_text_or_a_path(lobe: Network, path: Any) -> None:
    with pytest.raises(WrongTypeError, match="a path is"):
        lobe.save(path)
    with pytest.raises(WrongTypeError, match="a path is"):
        sf.load_network(path)
