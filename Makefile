# `make demo` and `make test` work on a fresh machine with python3 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup demo test test-deploy quick check fix bundle export bench bench-registration lock clean

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

# The MONAI Deploy SDK is 2 GB and pins what it stands on: an environment of its own.
.venv-deploy/.installed: setup.cfg constraints.txt bundle/scripts/deploy/requirements.txt
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r bundle/scripts/deploy/requirements.txt -e '.[test]'
	touch $@

test-deploy: .venv-deploy/.installed
	ulimit -s 32768; .venv-deploy/bin/python -m pytest tests/deploy

quick: setup
	$(BIN)/python -m pytest -m 'not slow'

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd bundle && ../$(BIN)/lint-imports --config ../setup.cfg
	$(BIN)/codespell --skip '*/assets/*' bundle/scripts bundle/docs container tests Dockerfile README.md CONTRIBUTING.md CHANGELOG.md
	$(MAKE) quick

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The Model Zoo's checks, then dist/mmif_amin_v<version>.zip.
bundle: setup
	$(BIN)/python tests/bundle/zoo.py --output_dir dist

# After new weights or a new version: bundle/models/{model.ts,model.onnx,model.pt2,manifest.json}.
export: setup
	$(BIN)/mmif-amin export -o bundle/models

bench: setup
	$(BIN)/python tests/benchmarks/bench.py

bench-registration: setup
	$(BIN)/python tests/benchmarks/bench_registration.py

# After a change of dependencies: the pins of the container image. With Python 3.11 and PyPI as the only index.
lock: setup
	$(BIN)/python container/lock.py

clean:
	rm -rf $(VENV) .venv-deploy runs build dist *.egg-info
