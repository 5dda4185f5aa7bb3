"""`somaflow models` and `somaflow mechanisms`."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.mechanisms.catalogue import KINDS

WIDE = {"COLUMNS": "200", "TERM": "dumb"}
NAMES = [name for folder in KINDS.values() for name in sf.catalogue(folder)]


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env=WIDE)


def test_models_are_listed_with_their_parameter_sets():
    result = call("models")
    assert result.exit_code == 0
    for word in ("antennal-lobe", "al-20hz", "psst-2022"):
        assert word in result.stdout


def test_all_mechanisms_are_listed():
    result = call("mechanisms")
    assert result.exit_code == 0
    for name in NAMES:
        assert name in result.stdout
        assert sf.load(name).title in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_mechanism_shows_all_that_its_file_says(name):
    result = call("mechanisms", name)
    found = sf.load(name)
    assert result.exit_code == 0
    flat = " ".join(result.stdout.split())
    assert found.title in flat
    assert " ".join(found.reference.split()) in flat
    for line in found.equations.source.strip().splitlines():
        assert " ".join(line.split()) in flat
    for key, parameter in found.equations.parameters.items():
        assert f"{key} {parameter}" in flat
    assert "agrees" in flat
    assert "DIFFERS" not in flat


def test_an_unknown_mechanism_is_said_in_plain_words():
    result = call("mechanisms", "kac")
    assert result.exit_code == 2
    assert "there is no mechanism 'kac'. Did you mean 'k" in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_path_is_not_a_name():
    result = call("mechanisms", "nowhere/own.toml")
    assert result.exit_code == 2
    assert "catalogue by name" in result.stderr


def test_version():
    assert call("--version").stdout.startswith("somaflow ")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["models"], ["mechanisms"], ["mechanisms", "ka"]]
)
def test_looking_around_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from somaflow.cli.main import app\n"
        f"sys.argv = ['somaflow', *{arguments!r}]\n"
        "try:\n"
        "    app()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'tensorflow', 'matplotlib', 'xarray', 'zarr'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
