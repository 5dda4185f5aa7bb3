"""Files that are retyped, cut short or nested deep are read, or refused in our own words."""

import copy
import io
import json
import math
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import somaflow as sf
from somaflow import description
from somaflow.cli import watch
from somaflow.errors import SomaflowError, StoreError
from somaflow.mechanisms.catalogue import checks, from_data
from somaflow.units import ms

OTHERS: list[Any] = [
    None, True, -1, 0, 1.5, 2**70, 10**400, math.nan, math.inf, "", "nonsense", "\0", [], [1],
    ["a"], [[]], {}, {"a": 1}, {"$float": "x"}, {"$float": 1}, {"$array": 99}, {"$array": "a"},
    {"$same": 5}, {"$dict": [1]}, {"$dict": [[[1], 2]]}, {"$class": "AllToAll"}, {"$class": []},
    {"$class": "Parameter"}, {"$class": "Network"},
]  # fmt: skip
DEEP = {"too deep for JSON": "[" * 100_000 + "]" * 100_000, "deep": '{"a":' * 900 + "1" + "}" * 900}
MECHANISMS = ["channels/leak", "synapses/nach", "pools/ca_decay", "neurons/eif"]
FOLDER = Path(sf.__file__).parent / "mechanisms"


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    listed = enumerate(tree) if isinstance(tree, list) else ()
    for key, part in tree.items() if isinstance(tree, dict) else listed:
        yield from places(part, (*path, key))


def retyped(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield a tree with each of its parts in turn replaced by each of the others."""
    for path in places(tree):
        for other in OTHERS:
            made = {"": copy.deepcopy(tree)}
            inner: Any = made
            for key in ("", *path)[:-1]:
                inner = inner[key]
            inner[("", *path)[-1]] = other
            yield f"{path} = {other!r:.40}", made[""]


def foreign(call: Callable[[], Any]) -> str:
    """Return the kind of an error that is not ours; empty where there is none."""
    try:
        call()
    except SomaflowError:
        return ""
    except Exception as error:
        return repr(error)[:200]
    return ""


def use(network: Any) -> None:
    if isinstance(network, sf.Network):
        for projection in network.projections:
            projection.connections()
        description.fingerprint(network)
        print(network, network.explain())


def test_a_retyped_network_is_read_or_refused(networks: dict[str, sf.Network]) -> None:
    found = []
    for name in ("catalogue lif", "own equations"):
        told = description.to_json(networks[name])
        text = json.loads(told["text"])
        inside = ((p, told | {"text": json.dumps(tree)}) for p, tree in retyped(text))
        for place, tree in (*inside, *retyped(told)):
            if answer := foreign(lambda tree=tree: use(description.from_json(tree))):
                found.append(f"{name}: {place}: {answer}")
    assert found == []


def test_a_damaged_archive_is_read_or_refused(lobe: sf.Network, tmp_path: Path) -> None:
    path, rng, found = tmp_path / "n.npz", np.random.default_rng(1), []
    lobe.save(path)
    whole = path.read_bytes()
    for _ in range(100):
        flipped = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            flipped[rng.integers(len(whole))] = rng.integers(256)
        for data in (bytes(flipped), whole[: rng.integers(len(whole))]):
            path.write_bytes(data)
            found.append(foreign(lambda: use(sf.load_network(path))))
    assert set(found) == {""}


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_retyped_mechanism_is_read_or_refused(name: str) -> None:
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    found = [
        f"{place}: {answer}"
        for place, tree in retyped(data)
        if (answer := foreign(lambda tree=tree: repr(from_data(tree, "x"))))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    ["at = 3", "at = {v = 'x'}", "expect = {I = nan}", "source = 1", "tolerance = -1.0"],
)
def test_a_check_of_another_type_is_named(line: str, tmp_path: Path) -> None:
    parts = {
        "at": "at = {v = 0.0}",
        "expect": "expect = {I = 1.0}",
        "source": "source = 'x'",
        "tolerance": "tolerance = 0.1",
    }
    key = line.partition(" ")[0]
    parts[key] = line
    head = "kind = 'channel'\ntitle = 'x'\nreference = 'x'\nequations = 'I = g*v/mV : nA\\nv : mV'"
    text = "\n".join([head, "[parameters]", "g = '1 nA'", "[[check]]", *parts.values()])
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(sf.errors.MechanismError, match=f"check 1: {key} is"):
        checks(str(tmp_path / "x.toml"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "a.zarr"
    cells = sf.Population("lif", 2, sf.load("lif"))
    sf.simulate(
        sf.Network(cells), 1 * ms, dt=0.1 * ms, record=[cells["v"]], sink=path, progress=False
    )
    return path


def sight(path: Path) -> None:
    watch.follow(str(path), Console(file=io.StringIO()), once=True)


def test_watch_answers_whatever_the_status_file_says(stored: Path) -> None:
    file = Path(f"{stored}.run") / "progress.json"
    whole, found = file.read_text(), []
    for place, tree in retyped(json.loads(whole)):
        file.write_text(json.dumps(tree))
        if answer := foreign(lambda: sight(stored)):
            found.append(f"{place}: {answer}")
    file.write_text(whole)
    assert found == []


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
@pytest.mark.parametrize("name", ["run.json", "progress.json", "zarr.json", "checkpoint"])
def test_files_that_are_nested_deep_get_an_answer(name: str, text: str, stored: Path) -> None:
    beside = Path(f"{stored}.run")
    file = stored / name if name == "zarr.json" else next(beside.glob(f"{name}*"))
    whole = file.read_bytes()
    file.write_bytes(text.encode() + b"\n")
    calls = {
        "check": lambda: sf.check(stored),
        "load_network": lambda: sf.load_network(stored),
        "resume": lambda: sf.resume(stored, progress=False),
        "watch": lambda: sight(stored),
    }
    found = {name: foreign(call) for name, call in calls.items()}
    file.write_bytes(whole)
    assert set(found.values()) == {""}, found


@pytest.mark.parametrize("value", [None, "", 0, math.nan, [1]])
def test_a_step_of_another_type_in_run_json_is_named(value: Any, stored: Path) -> None:
    file = Path(f"{stored}.run") / "run.json"
    whole = file.read_text()
    told = json.loads(whole)
    told["meta"]["dt_ms"] = value
    file.write_text(json.dumps(told))
    with pytest.raises(StoreError, match=r"run\.json is not what this version writes"):
        sf.resume(stored, progress=False)
    file.write_text(whole)
