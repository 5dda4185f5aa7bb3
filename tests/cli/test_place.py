"""Where `somaflow resume` and `somaflow watch` find a run."""

import pytest

from somaflow.cli.place import command, find
from somaflow.errors import StoreError


@pytest.fixture
def out(tmp_path):
    """A folder that holds one run."""
    (tmp_path / "out" / "al.zarr.run").mkdir(parents=True)
    store = tmp_path / "out" / "al.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    return tmp_path / "out"


@pytest.mark.parametrize(
    "name", ["", "/", "/al.zarr", "/al.zarr/", "/al.zarr.run", "/al.zarr.run/"]
)
def test_a_run_is_found_by_any_of_its_names(out, name):
    assert find(f"{out}{name}") == str(out / "al.zarr")


def test_a_run_without_a_store_yet_is_found(out):
    (out / "al.zarr" / "zarr.json").unlink()
    (out / "al.zarr").rmdir()
    assert find(str(out)) == str(out / "al.zarr")


def test_here(out, monkeypatch):
    monkeypatch.chdir(out)
    assert find(".") == "al.zarr"
    assert command("resume", "al.zarr") == "somaflow resume al.zarr"


def test_several_runs_are_listed(out):
    (out / "b.zarr.run").mkdir()
    with pytest.raises(StoreError, match="holds 2 runs") as caught:
        find(str(out))
    assert str(out / "al.zarr") in str(caught.value)
    assert str(out / "b.zarr") in str(caught.value)
    assert find(str(out / "b.zarr")) == str(out / "b.zarr")


def test_no_run(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        find(str(tmp_path))
    with pytest.raises(StoreError, match="is not there, or is not a folder"):
        find(str(tmp_path / "nowhere"))


def test_results_without_what_lies_beside_them(out):
    (out / "al.zarr.run").rmdir()
    with pytest.raises(StoreError, match=r"al\.zarr\.run, which tells how they were made"):
        find(str(out / "al.zarr"))


def test_an_address():
    with pytest.raises(StoreError, match=r"no run at memory://none/al\.zarr"):
        find("memory://none/al.zarr")


def test_the_shortest_name_that_is_enough_is_told(out):
    assert command("resume", out / "al.zarr") == f"somaflow resume {out}"
    (out / "b.zarr.run").mkdir()
    assert command("resume", out / "al.zarr") == f"somaflow resume {out / 'al.zarr'}"
    assert command("resume", "s3://a/al.zarr") == "somaflow resume s3://a/al.zarr"


def test_what_is_told_can_be_pasted(tmp_path):
    (tmp_path / "my runs" / "al.zarr.run").mkdir(parents=True)
    said = command("watch", tmp_path / "my runs" / "al.zarr")
    assert said == f"somaflow watch '{tmp_path / 'my runs'}'"
