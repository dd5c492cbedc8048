# `make demo` and `make test` work on a fresh machine with python3 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup demo test quick check fix bench bench-registration clean

$(BIN)/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[test,dev]'
	touch $@

setup: $(BIN)/.installed

demo: setup
	$(BIN)/mmif-amin demo --output_dir runs/demo

test: setup
	$(BIN)/python -m pytest

quick: setup
	$(BIN)/python -m pytest -m 'not slow'

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd bundle && ../$(BIN)/lint-imports --config ../setup.cfg
	$(BIN)/codespell --skip '*/assets/*' bundle/scripts bundle/docs tests README.md CONTRIBUTING.md CHANGELOG.md
	$(MAKE) quick

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python tests/benchmarks/bench.py

bench-registration: setup
	$(BIN)/python tests/benchmarks/bench_registration.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info
