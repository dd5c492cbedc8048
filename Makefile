# `make demo` and `make test` work on a fresh machine with python3 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 3
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt
# As many tests at once as JOBS says, one more than two cores because tests also wait for programs; each has one thread,
# because many more threads than cores are ruinous.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: setup demo test check lint types tree fix docs bundle test-deploy test-federated export bench speed bench-registration lock release audit golden mutate matrix clean

$(BIN)/.installed: setup.cfg setup.py constraints.txt bundle/configs/metadata.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) torch
	$(BIN)/python $(PIP) -e '.[test,dev]'
	touch $@

setup: $(BIN)/.installed

demo: setup
	$(BIN)/mmif-amin demo --output runs/demo

# All that must pass: linter, types, imports and every test, the Model Zoo's acceptance among them.
test: lint types
	$(PYTEST)

# The same without the tests that train or start programs.
check: lint types
	$(PYTEST) -m 'not slow'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

# The types, and which module may import which (setup.cfg).
types: tree
	bin=$$(cd $(BIN) && pwd) && cd build/tree && "$$bin"/mypy --config-file ../../setup.cfg -p mmif_amin
	bin=$$(cd $(BIN) && pwd) && cd build/tree && "$$bin"/lint-imports --config ../../setup.cfg

# Both packages as one tree, as in an installation: programs that do not run the code find mmif_amin.scripts there.
tree: setup
	rm -rf build/tree/mmif_amin
	mkdir -p build/tree/mmif_amin
	cd build/tree/mmif_amin && ln -s ../../../mmif_amin/* ../../../bundle/scripts . && rm -f __pycache__

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages that are made from the code: docs/command-line.md and docs/metrics.md.
docs: setup
	$(BIN)/python -m mmif_amin.documentation docs

# The Model Zoo's checks, then dist/mmif_amin_v<version>.zip.
bundle: setup
	$(BIN)/python tests/acceptance/zoo.py --output dist

# The MONAI Deploy SDK is 2 GB and pins what it stands on: an environment of its own.
.venv-deploy/.installed: setup.cfg setup.py constraints.txt
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python $(PIP) torch
	.venv-deploy/bin/python $(PIP) -e '.[test,deploy]'
	touch $@

test-deploy: .venv-deploy/.installed
	ulimit -s 32768; .venv-deploy/bin/python -m pytest tests/mmif_amin/deploy

# NVFlare is large, and monai-nvflare pins what it stands on: an environment of its own too.
.venv-federated/.installed: setup.cfg setup.py constraints.txt
	$(PYTHON) -m venv .venv-federated
	.venv-federated/bin/python $(PIP) torch
	.venv-federated/bin/python $(PIP) -e '.[test,federated]'
	touch $@

test-federated: .venv-federated/.installed
	OMP_NUM_THREADS=1 .venv-federated/bin/python -m pytest tests/acceptance/federated

# After new weights or a change of the network: the exports in bundle/models, and their manifest.
export: setup
	$(BIN)/mmif-amin export -o bundle/models
	for task in infrared-visible multi-focus multi-exposure; do \
	    $(BIN)/mmif-amin export -o bundle/models --task $$task --format onnx || exit; done

# After new weights, or a change of the images that is wanted: the values that tests/acceptance/test_golden.py guards.
golden: setup
	$(BIN)/python -m tests.acceptance.golden

bench: setup
	$(BIN)/python benchmarks/bench.py

# Measures speed again, warns of what has become slower, and adds a row to docs/speed.csv. It never fails for being slow.
speed: setup
	$(BIN)/python benchmarks/speed.py --rounds 3

bench-registration: setup
	$(BIN)/python benchmarks/bench_registration.py

# After a change of dependencies: every file that holds pins. With Python 3.11 on Linux and PyPI as the only index.
lock: setup
	$(BIN)/python tools/versions.py lock

# make release VERSION=1.2.3: after CHANGELOG.md says what is new, below `## [Unreleased]`.
release: setup
	$(BIN)/python tools/versions.py release $(VERSION)
	$(MAKE) export

# What is installed, under which licenses, and with which known holes: SECURITY.md. The tools have an environment of
# their own, and look into the product's. Without the network the question for holes is left out, and said to be.
.venv-audit/.installed: tools/audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r tools/audit.txt
	touch $@

audit: setup .venv-audit/.installed
	.venv-audit/bin/python tools/audit.py $(BIN)/python build/audit

# make mutate ROOMS="suv resume": changes the code in small ways and counts the changes that no test notices; without
# ROOMS all of setup.cfg, for hours. MOST=40 takes so many of each room.
.venv-mutate/.installed: tools/mutate.txt
	$(PYTHON) -m venv .venv-mutate
	.venv-mutate/bin/python -m pip install --quiet --disable-pip-version-check -r tools/mutate.txt
	touch $@

mutate: setup .venv-mutate/.installed
	.venv-mutate/bin/python tools/mutate.py $(BIN)/python $(if $(MOST),--most $(MOST)) $(ROOMS)

# make matrix CELLS="oldest newest": the golden tests and the laws with other versions of Python and all packages.
.venv-matrix/.installed: tools/matrix.txt
	$(PYTHON) -m venv .venv-matrix
	.venv-matrix/bin/python -m pip install --quiet --disable-pip-version-check -r tools/matrix.txt
	touch $@

matrix: .venv-matrix/.installed
	.venv-matrix/bin/python tools/matrix.py $(CELLS)

clean:
	rm -rf $(VENV) .venv-audit .venv-matrix .venv-mutate .venv-deploy .venv-federated runs build dist *.egg-info
