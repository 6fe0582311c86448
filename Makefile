# multirec: the commands of README.md and of development. Needs Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= bench/results
INSTALLED := $(VENV)/.installed
PLUGIN := $(VENV)/.plugin
PEERS := .venv-peers

.DEFAULT_GOAL := help
.PHONY: help bench peers gpu test test-long lint types docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[torch,numba,jax,bench,docs,dev]'
	touch $@

# a stranger's backend, for the tests alone
$(PLUGIN): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e tests/plugin_example
	touch $@

bench: $(INSTALLED)  ## install, then run the forum's case on every backend that is ready here
	$(BIN)/multirec bench

# torch comes with CUDA here: torchaudio and philtorch are built against that one
$(PEERS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade pip setuptools wheel
	$(PEERS)/bin/python -m pip install --quiet -e '.[torch,numba,jax,bench,peers]'
	touch $@

peers: $(PEERS)/.installed  ## install torch with CUDA and the peers, compare with them, keep the result in RESULTS
	$(PEERS)/bin/multirec bench --time 4min --force -o $(RESULTS)/peers.json

test: $(PLUGIN) lint types  ## install, then run lint, types and the tests
	$(BIN)/python -m pytest -q -n 2

test-long: $(PLUGIN)  ## the slower checks, marked long
	$(BIN)/python -m pytest -q -m long

gpu:  ## on a machine with a GPU, in PYTHON as it is: checks, benchmark, sanitizer; under 8 minutes
	$(PYTHON) bench/gpu/run.py --results $(RESULTS)

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## mypy, strict
	$(BIN)/mypy

docs: $(INSTALLED)  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) $(PEERS) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
