# make install   a virtual environment in .venv, and nothing else
# make demo      the antennal lobe, with its figure and its results in somaflow-out
# make test      the tests
# make lint      style and types
# make docs      the course with what it computes, the pages and the API reference as a site, in docs/_build
# make docs-check   the same site, looked at in a browser (Chromium, from apt)
# make notebooks    the course's notebooks, from their text
# make lowest    the fast tests and one store with the lowest versions that pyproject.toml allows
# make bench     speed, beside other simulators; BENCH="cobahh --wirings 2" is another one

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
OUT := somaflow-out

.PHONY: install demo test lint docs docs-check notebooks lowest bench

install: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "There is no $(PYTHON). Install Python 3.11, 3.12 or 3.13, or name one: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); somaflow needs Python 3.11, 3.12 or 3.13. Name one: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) comes without venv. Install it (on Debian and Ubuntu: apt install python3-venv) and try again." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[test]'
	@touch $(STAMP)

demo: install
	$(BIN)/somaflow run antennal-lobe --out $(OUT) --overwrite
	@echo
	@echo "The figure is   $(CURDIR)/$(OUT)/antennal-lobe.png"
	@echo "The results are $(CURDIR)/$(OUT)/antennal-lobe.zarr  (xarray.open_zarr reads them)"

# TensorFlow never lets go of what it has compiled: some 80 MB and 250 memory maps for a lobe. So
# the tests run in parts, each in processes of its own, the slowest files first.
PARTS := 1 2 3 4 5 6

test: install
	@failed=; for part in $(PARTS); do \
		$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 12 --part $$part/$(words $(PARTS)) || failed="$$failed $$part"; \
	done; test -z "$$failed" || { echo "Tests failed in part$$failed of $(words $(PARTS))."; exit 1; }

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

SITE := docs/_build
docs: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . $(SITE)
	@echo "The site is     $(CURDIR)/$(SITE)/index.html"

CHROMIUM ?= $(shell command -v chromium)
docs-check:
	@test -x "$(CHROMIUM)" || { echo "There is no chromium. Install it (on Debian: apt install chromium), or name one: make docs-check CHROMIUM=/path/to/it" >&2; exit 1; }
	$(MAKE) docs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'playwright>=1.49'
	CHROMIUM=$(CHROMIUM) $(BIN)/python docs/check/site.py $(SITE) $(OUT)-site
	$(BIN)/somaflow lab --static $(OUT)-lab
	CHROMIUM=$(CHROMIUM) $(BIN)/python docs/check/lab.py $(OUT)-lab/antennal-lobe.html $(OUT)-lab

notebooks: install
	$(BIN)/jupytext --quiet --to ipynb docs/tutorials/[1-9]-*.md

# Libraries of these versions warn of each other; that is theirs to mend, so it is not an error here.
LOWEST := .venv-lowest
lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[test]'
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -m "not slow" -W ignore::DeprecationWarning
	$(LOWEST)/bin/somaflow run antennal-lobe --duration 20ms --out $(OUT)-lowest --overwrite
	$(LOWEST)/bin/somaflow check $(OUT)-lowest/antennal-lobe.zarr

bench: install
	$(BIN)/python benchmarks/run.py $(BENCH)
