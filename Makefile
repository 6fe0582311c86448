# multirec: the commands of README.md and of development. Needs Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= bench/results
INSTALLED := $(VENV)/.installed
PLUGIN := $(VENV)/.plugin
PEERS := .venv-peers
# errors alone: what build tools advise is for us
INSTALL := -m pip install --quiet --quiet

.DEFAULT_GOAL := help
.PHONY: help bench peers gpu test pytest test-long lint types docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --upgrade pip setuptools wheel
	$(BIN)/python $(INSTALL) -c constraints.txt torch
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[torch,numba,jax,bench,docs,dev]'
	touch $@

# a stranger's backend, for the tests alone
$(PLUGIN): $(INSTALLED)
	$(BIN)/python $(INSTALL) --no-build-isolation --no-deps -e tests/plugin_example
	touch $@

bench: $(INSTALLED)  ## install, then run the default case on every backend that is ready here
	$(BIN)/multirec bench

# torchaudio and philtorch are built for one torch; torchlpc is compiled here, against it: pip must neither take another
# torch for that nor a wheel that it once compiled against another
$(PEERS)/.installed: pyproject.toml constraints-peers.txt
	@command -v c++ >/dev/null || { echo "make peers compiles torchlpc: it needs a C++ compiler, and there is no c++ on the PATH"; exit 1; }
	@echo "installing torch with CUDA and the peers into $(PEERS): more than 6 GB, which takes minutes"
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(INSTALL) --upgrade pip setuptools wheel
	$(PEERS)/bin/python $(INSTALL) -c constraints-peers.txt torch numpy
	$(PEERS)/bin/python $(INSTALL) -c constraints-peers.txt --no-build-isolation --no-cache-dir -e '.[torch,numba,jax,bench,peers]'
	touch $@

peers: $(PEERS)/.installed  ## install torch with CUDA and the peers, compare with them, keep the result in RESULTS
	$(PEERS)/bin/multirec bench --time 4min --force -o $(RESULTS)/peers.json

# mypy has one core's work for a minute, so it runs beside the tests
test: $(PLUGIN) lint  ## install, then run lint, types and the tests
	@$(MAKE) --no-print-directory -j 2 types pytest

pytest: $(PLUGIN)
	$(BIN)/python -m pytest -q -n 2

test-long: $(PLUGIN)  ## the slower checks, marked long
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(BIN)/python -m pytest -q -m long

gpu:  ## on a machine with a GPU, in PYTHON as it is: checks, benchmark, sanitizer; under 8 minutes
	PYTHONPATH=bench $(PYTHON) -m gpu --results $(RESULTS)

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## mypy, strict
	$(BIN)/mypy

docs: $(INSTALLED)  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) $(PEERS) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
