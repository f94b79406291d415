# Needs Python 3.11 to 3.13 (choose one with PYTHON=...); everything else is installed into .venv.
PYTHON ?= python3
# What `make test-pythons` runs on, besides PYTHON.
PYTHONS ?= 3.11 3.12 3.13
VENV := .venv
BIN := $(VENV)/bin
# Three processes for two cores, since tests of servers also wait.
PYTEST := python -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder
# Slow tests that only `make test` runs: documentation, pages in a browser, Prefect's servers and
# schedules, benchmarks, training by the command line, promotion, other engines, and more data, more
# faults or stranger input for code that other tests cover. They hardly depend on versions.
WITHOUT_SLOW := $(addprefix --ignore tests/,docs faults imdb ui test_benchmarks.py test_telemetry.py \
  batch/test_memory.py model/test_strange_bundles.py pipeline/test_promote.py scoring/test_recipes.py \
  storage/test_object_store.py training/test_loop.py \
  $(patsubst %,cli/test_%.py,model_commands other_machines plan_command quickstart training_commands) \
  $(patsubst %,flows/test_%.py,containers deploying_the_wheel deployments guides outages serve ui year))
# The tests of blocks and flows, except those that hardly depend on the version of Prefect.
PREFECT_TESTS := tests/blocks $(filter-out $(patsubst %,tests/flows/test_%.py,\
  adapt claims commands containers deploying_the_wheel guides operations options outages privacy \
  runners train ui wrong_parameters year),$(wildcard tests/flows/test_*.py))
# Packages of JavaScript, for tests.
NODE := build/node
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-lowest test-prefect test-pythons interop mutants soak lint format docs bench pretrained

help:
	@echo "make quickstart    set up, train a model, score a file, show the result"
	@echo "make test          set up and run every test"
	@echo "make test-lowest   run the tests on the lowest supported versions of all packages"
	@echo "make test-prefect  run the tests of the flows on the lowest supported Prefect"
	@echo "make test-pythons  run the tests on every other supported Python that is installed"
	@echo "make interop       install what some tests need: Spark, Ray, Jupyter, JavaScript packages, Hugging Face datasets"
	@echo "make mutants       apply a list of mutations one by one and show which test finds each"
	@echo "make soak          kill 1,000 runs at random moments and check what each leaves"
	@echo "make lint          ruff, mypy, import-linter"
	@echo "make format        format the code with ruff"
	@echo "make docs          set up and build the documentation into build/docs"
	@echo "make bench         measure speed and memory"

# --- set-up: marker files newer than their prerequisites keep make from installing again
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is required; $(PYTHON) is not one of these. Choose one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --upgrade pip
	$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --group dev
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) --group docs
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(PIP) --group bench
	@touch $@

$(VENV)/installed-interop: $(VENV)/installed
	$(PIP) --group interop
	@touch $@

$(NODE)/installed: tests/javascript/package.json
	mkdir -p $(NODE)
	cp $< $(NODE)
	npm install --prefix $(NODE) --silent --ignore-scripts --no-package-lock --no-audit --no-fund
	@touch $@

# --- commands
quickstart: $(VENV)/installed
	$(BIN)/imdb-classifier quickstart

test: $(VENV)/installed-dev
	$(BIN)/$(PYTEST) $(ARGS)

# The lowest versions that pyproject.toml allows, without Prefect and what needs it. Indirect
# dependencies are taken as of a fixed day, so that a new release cannot break this target.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/$(PYTEST) $(WITHOUT_SLOW) --ignore tests/flows $(ARGS)

.venv-lowest/installed: pyproject.toml | $(VENV)/installed-dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
	  --exclude-newer 2026-11-20 --editable '.[fast,train]' --group test
	@touch $@

# `make test` runs the flows on the newest supported Prefect. Nothing else is run beside them here,
# so each process has a server and a share of the files.
test-prefect: .venv-prefect/installed
	.venv-prefect/bin/$(subst loadgroup,loadfile,$(PYTEST)) $(ARGS) $(PREFECT_TESTS)

.venv-prefect/installed: pyproject.toml | $(VENV)/installed-dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-prefect
	$(BIN)/uv pip install --quiet --python .venv-prefect --resolution lowest-direct \
	  --exclude-newer 2026-11-20 --editable '.[all]' --group test
	@touch $@

# The Pythons other than that of $(VENV). pyenv's interpreters come first on PATH, because its shims
# run only where their version is selected.
test-pythons: $(VENV)/installed-dev
	@for version in $(PYTHONS); do \
	  [ ! -e $(BIN)/python$$version ] || continue; \
	  if python=$$(PATH="$$(printf '%s:' $${PYENV_ROOT:-$$HOME/.pyenv}/versions/*/bin)$$PATH" \
	      $(BIN)/uv python find --system --no-python-downloads $$version 2>/dev/null); then \
	    $(BIN)/uv venv --quiet --clear --python $$python .venv-$$version && \
	    $(BIN)/uv pip install --quiet --python .venv-$$version -c constraints.txt \
	      --editable '.[all]' --group test && \
	    .venv-$$version/bin/$(PYTEST) $(WITHOUT_SLOW) $(ARGS) || exit; \
	  else echo "Python $$version is not installed: its tests are skipped."; fi; \
	done

# Spark also needs Java 17 or later.
interop: $(VENV)/installed-interop $(NODE)/installed

mutants: $(VENV)/installed-dev
	$(BIN)/python -m tests.mutants $(ARGS)

# Takes an hour or more.
soak: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every warning is an error: a broken link, an unknown anchor, a docstring that cannot be parsed.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "The documentation is in build/docs/index.html"

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks $(ARGS)

# Retrains the model in the wheel: make pretrained DATA=... SEED=...
pretrained: $(VENV)/installed
	rm -rf build/registry/versions
	$(BIN)/imdb-classifier train --recipe production --seed $(SEED) --data $(DATA) --registry build/registry
	rm -rf imdb_classifier/pretrained
	cp -r build/registry/versions/* imdb_classifier/pretrained
