"""`somaflow doctor`."""

import re

import pytest
from typer.testing import CliRunner

from somaflow.cli import doctor
from somaflow.cli.main import app
from somaflow.errors import MissingValueError
from somaflow.workers.found import Mpi, find


def call() -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "mpi"], env={"COLUMNS": "200", "TERM": "dumb"})
    return result.exit_code, result.stdout


def missing() -> Mpi:
    raise MissingValueError("none")


@pytest.mark.slow
def test_doctor_tells_of_the_mpi_that_is_used_and_tries_it() -> None:
    try:
        mpi = find()
    except MissingValueError as error:
        pytest.skip(str(error))
    code, text = call()
    assert code == 0, text
    assert f"launcher       {mpi.launcher} ({mpi.launched})" in text
    assert f"library        {mpi.loaded}, of " in text
    assert re.search(r"two processes  exchange 1 kB in \d+ us, 100 kB in \d+ us", text)


def test_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Mpi("/site/mpiexec", None, "the site's own", "Open MPI 4.1", "MPICH 4.2")
    monkeypatch.setattr(doctor, "version", lambda _: "4.1.2")
    monkeypatch.setattr(doctor, "candidates", lambda: iter([other]))
    monkeypatch.setattr(doctor, "find", missing)
    code, text = call()
    assert code == 1
    assert "/site/mpiexec: it is of Open MPI 4.1, and mpi4py loads a library of MPICH 4.2" in text
    assert "pip install 'somaflow[mpi]'" in text
