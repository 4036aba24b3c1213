# Surefoot. `make help` lists the targets; ARGS="…" is passed on to what a target runs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
# Where Python may not keep what it compiled (images of containers often say so), each process compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
# make test SLOW=1 includes the slow tests; -m "" undoes the default -m "not slow" of pyproject.toml.
slow := $(if $(filter-out 0 no false,$(SLOW)),-m "",)
# Pyright runs beside the tests; where make can, each prints its lines together.
grouped := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target,)

.PHONY: help demo test check format lint types walls fast fmt lock clean run-venv dev-venv FORCE

help: ## list everything there is to make
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { sub("%", "NAME", $$1); printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sh scripts/bench.sh --list

demo: run-venv ## the whole loop on shipped tickets, offline; ARGS="--yes --seed 7 --json report.json"
	@$(bin)/surefoot demo $(ARGS)

test: dev-venv ## every fast test; SLOW=1 adds statistics and faults; ARGS="-k gate", ARGS="-n0" one at a time
	@sh scripts/browser.sh
	@$(bin)/python -m pytest $(slow) -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: dev-venv ## format, lint, types, import walls and the fast tests of core, in under a minute
	@$(MAKE) -j2 $(grouped) types format lint walls fast

format: dev-venv ## is everything formatted? (make fmt repairs)
	@$(bin)/ruff format --check --quiet --output-format=concise . || { echo "make fmt formats these"; exit 1; }

lint: dev-venv ## ruff
	@$(bin)/ruff check --quiet .

types: dev-venv ## pyright, strict on src
	@$(bin)/pyright --project pyproject.toml

walls: dev-venv ## import-linter: who may import whom
	@$(bin)/lint-imports --no-logo --cache-dir .venv/.import_linter_cache

fast: dev-venv ## the fast tests of core and house, with a quick look at each property
	@HYPOTHESIS_PROFILE=quick $(bin)/python -m pytest -q tests/core tests/test_house.py $(ARGS)

fmt: dev-venv ## format, and repair what ruff can repair
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

bench-%: FORCE ## run bench/NAME.py: prints a table and writes .bench/NAME.json; PEERS=1 measures others beside
	@sh scripts/bench.sh $* $(ARGS)

lock: dev-venv ## write the lock files anew from pyproject.toml; ARGS=--upgrade takes newer versions
	@sh scripts/lock.sh $(ARGS)

clean: ## remove .venv, caches and benchmark results
	rm -rf .venv .bench .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

run-venv:
	@sh scripts/venv.sh run

dev-venv:
	@sh scripts/venv.sh dev

FORCE:
