# The two commands: `make run` and `make test`. Each sets up all it needs; only Python 3.11+ and make must be there.

PYTHON ?= python3
STUDY ?= unet-density
BIN := .venv/bin
# Tests start hundreds of processes: none of them should compile the package again, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test test-slow test-oldest soak bench bench-selection images containers lint docs reference clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

run: .venv/.installed ## a search and its promotion; STUDY=digits for another study
	$(BIN)/hpo run --study $(STUDY) --promote

test: .venv/.installed-dev lint ## lint, types, layers and the quick tests
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20

# The tests that take three seconds or more each, or a browser or a large library: clusters, kills, walks through the docs.
test-slow: .venv/.installed-dev ## tests that take three seconds or more, or a browser
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20 -m 'slow and not soak'

# Of what needs no further package: a package's old version may warn about its own code, so warnings are no errors here.
OLDEST_TESTS := seeds stats study core store training figures search promotion driver analysis results cli
test-oldest: .venv-oldest/.installed ## quick tests with the oldest supported versions of all packages
	.venv-oldest/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -W default $(addprefix tests/,$(OLDEST_TESTS))

# Drivers, workers and Postgres are killed at random moments, for half an hour or so.
soak: .venv/.installed-dev ## kills processes at random moments, for half an hour
	$(BIN)/pytest -m soak -rA --timeout 0

lint: .venv/.installed-dev ## ruff, mypy, import-linter and the limits of the code's shape
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house

docs: .venv/.installed-dev ## the pages of docs/ as a site, in site/; any warning is an error
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict

reference: .venv/.installed-dev ## writes the generated pages of docs/reference again
	$(BIN)/python -m tests.reference

# What a trial costs, against Optuna alone and Ray Tune's own search; about ten minutes. BENCH="slots --json FILE" for less.
bench: .venv/.installed-dev ## what a trial costs, against Optuna and Ray Tune
	$(BIN)/python -m tests.bench $(BENCH)

# Which method finds the best configuration for so many trainings, on tables of real ones; an hour or so the first time.
# SETS="explored --smac PYTHON" for others; PYTHON is that of an environment with smac==2.4.1. SETS=--quick has four problems,
# SETS="live --sampler tpe+gp --sampler gp --lag 1 --lag 8" compares samplers and lags, and SETS=mine.npz reads a table of
# your own: scores (C, S), NaN for a failed training, and space, as JSON.
bench-selection: .venv/.installed-dev ## which method finds the best configuration
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m tests.bench.selection $(SETS)

# The pictures of the pages in docs/images, of studies that it searches and promotes; a few minutes, and needs chromium.
images: .venv/.installed-dev ## takes the pictures of the pages in docs/images again
	$(BIN)/python -m tests.serve.screenshots

# About 20 minutes, as root, with podman and what tests/docker/containers.py names; skipped with a reason elsewhere.
containers: .venv/.installed-dev ## builds the images and runs the Compose stack with podman
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[containers]'
	$(BIN)/python -m tests.docker.containers

# Every version is pinned in constraints.txt; pyproject.toml says which packages there are.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")'
	@echo "Setting up .venv (once; about two minutes and 1.6 GB)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mammography]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv-oldest/.installed: pyproject.toml .ci/oldest.txt
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check --constraint .ci/oldest.txt --editable '.[cmaes,tensorboard,torch]' \
		hatchling hypothesis pytest pytest-timeout pytest-xdist
	@touch $@

clean: ## removes .venv and .venv-oldest
	rm -rf .venv .venv-oldest
