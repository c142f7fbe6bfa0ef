# Two commands do everything on a fresh machine with Python 3.11 or newer: `make run` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Compiled modules are kept: without them each start of the daemon compiles five hundred anew.
unexport PYTHONDONTWRITEBYTECODE

CONFIG ?= config.toml
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable

# The first interpreter that is new enough; `make PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,\
	$(shell command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

.PHONY: help console demo install install-dev run test lint format check bench chaos constraints contracts

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed console-if-possible ## make .venv and install what the daemon needs

install-dev: $(VENV)/.installed-dev console-if-possible ## the same, and what tests, lint and benchmarks need

console: | $(BIN)/python ## build the console's page, with the Node on the PATH or a throwaway one
	$(BIN)/python daemon/http/console_build.py

# Without npm's registry the daemon is installed all the same; /console/ says then what is missing.
.PHONY: console-if-possible
console-if-possible: | $(BIN)/python
	@$(BIN)/python daemon/http/console_build.py --if-changed || echo "headgate: the console's page was not built; the daemon works without it (later: make console)" >&2

run: install ## start the daemon (embedded server, SQLite) with config.toml; another file: make run CONFIG=...
	exec $(BIN)/headgate serve --config $(CONFIG)

SPEED ?= 1
TRACE ?= ../shared/data/azure_llm_2023_conv.csv.gz

demo: install ## start a daemon with something going on: make demo SPEED=5 TRACE=trace.csv.gz
	exec $(BIN)/python examples/demo.py --speed $(SPEED) $(if $(wildcard $(TRACE)),--trace $(TRACE))

# How many processes share the tests, and how: whole files, the longest first (tests/conftest.py).
WORKERS ?= auto

test: install-dev ## run the tests; a part of them: make test TESTS=tests/domain; in one process: make test WORKERS=0
	@# Once for all: in a fresh clone each of the workers, and what each forks from, would compile all modules for itself.
	@$(BIN)/python -m compileall -q -j 0 -x node_modules adapters contracts daemon domain handlers storage tests/support
	@# Likewise the tests, which pytest compiles in a way of its own when it collects them: 2.6 s for each worker.
	@test -d tests/__pycache__ || env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --collect-only -qq >/dev/null || true
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: install-dev ## ruff, formatting, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	@if [ -x daemon/http/console/node_modules/.bin/tsc ]; then cd daemon/http/console && npm run --silent check; fi

format: install-dev ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test ## all that CI runs

bench: install-dev ## measure, every contender in the same run; one of them alone: make bench documents
	$(BIN)/python -m bench $(filter documents console,$(MAKECMDGOALS))

.PHONY: documents
documents: ; @:

chaos: install-dev ## kill, stop and starve everything while messages flow, then compare: make chaos SEED=7 SECONDS=180
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(VARIANT),--variant $(VARIANT))

constraints: ## renew deploy/constraints.txt, the versions that the image installs, from a clean environment
	rm -rf var/constraints && $(PYTHON) -m venv var/constraints
	var/constraints/bin/python -m pip install --disable-pip-version-check --quiet '.[otel,nkeys]'
	{ sed -n 1p deploy/constraints.txt; var/constraints/bin/python -m pip freeze --exclude headgate; } > var/constraints/new.txt
	mv var/constraints/new.txt deploy/constraints.txt

contracts: install-dev ## renew docs/contracts, which other programs are written against
	find docs/contracts -name '*.json' -delete
	$(BIN)/headgate contracts export docs/contracts

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "headgate needs Python 3.11 or newer on the PATH (or: make PYTHON=/path/to/python3)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp file, so that nothing is installed anew until pyproject.toml changes.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) '.[dev]'
	@touch $(VENV)/.installed $@
