# netpoll-lab. Bare `make` lists the targets; `make lab VERB` sets up whatever is missing and runs `lab VERB`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
ARGS ?=
MINUTES ?= 2

ifeq (lab,$(firstword $(MAKECMDGOALS)))
# Everything after `lab` is a verb and its arguments, not a target.
VERB := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: lab $(VERB)
lab: $(VENV)/.run ## list the verbs of the lab command
	@$(VENV)/bin/lab $(or $(VERB),--help) $(ARGS)
ifneq (,$(VERB))
$(VERB):
	@:
endif
else
.PHONY: help test test-grafana check bench fuzz lock clean
help: ## list the targets
	@echo "make lab up            set up whatever is missing, bring up the lab, show first light"
	@echo "make lab run quick     compare all variants side by side (some five minutes)"
	@echo "make lab VERB ARGS=... any verb of the lab command; make lab lists them"
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: $(VENV)/.dev ## every check and test, real engine and real containers included
	@$(VENV)/bin/python -m tests.prepare
	@$(MAKE) --no-print-directory check
	@$(VENV)/bin/pytest -q --durations=10 tests/engine

test-grafana: $(VENV)/.dev ## once around with a real Grafana; GRAFANA_TOKEN=... make test-grafana GRAFANA_URL=http://host:3000
	@test -n "$(GRAFANA_URL)" || { echo "GRAFANA_URL is empty. Write: GRAFANA_TOKEN=... make test-grafana GRAFANA_URL=http://127.0.0.1:3000" >&2; exit 2; }
	@GRAFANA_URL="$(GRAFANA_URL)" GRAFANA_TOKEN_FILE="$(GRAFANA_TOKEN_FILE)" PROMETHEUS_URL="$(or $(PROMETHEUS_URL),http://127.0.0.1:9090)" \
	  $(VENV)/bin/python -m pytest -q --tb=short tests/grafana/test_round_trip.py -k real # short: no arguments are shown

check: $(VENV)/.dev ## ruff, mypy --strict, the unit tests and the layer test; no engine needed
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pytest -q tests --ignore=tests/engine --ignore=tests/swarm
	@$(VENV)/bin/pytest -q tests/swarm # a process of its own: importing Locust patches the standard library

fuzz: ## search for bytes that break the engine's parser; MINUTES=2 (clang, installed when root)
	@swarm/engine/fuzz/fuzz.sh $(MINUTES)

bench: $(VENV)/.run ## measure what the lab promises into results/bench.json; some four hours; ARGS="--only throughput"
	@$(VENV)/bin/python -m bench $(ARGS)

lock: $(VENV)/.dev ## write the lock files anew from pyproject.toml and images/swarm-requirements.in
	@$(VENV)/bin/pip install -q uv
	@$(VENV)/bin/uv pip compile -q --generate-hashes --python-version 3.11 --extra setup --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(VENV)/bin/uv pip compile -q --generate-hashes --python-version 3.11 --extra setup --extra dev --custom-compile-command "make lock" pyproject.toml -o requirements-dev.lock
	@$(VENV)/bin/uv pip compile -q --generate-hashes --python-version 3.13 --python-platform x86_64-manylinux_2_28 --custom-compile-command "make lock" images/swarm-requirements.in -o images/swarm-requirements.lock

clean: ## remove .venv and every cache; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build swarm/engine/build *.egg-info
endif

# The venv module is a package of its own on Debian; as root it is installed, otherwise the command is named.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 is older than 3.11: $$($(PYTHON) --version); name a newer one: make PYTHON=python3.12 ..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "installing python3-venv with apt-get" >&2; apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null; \
	  else echo "python3 has no venv module. Run: sudo apt-get install -y python3-venv" >&2; exit 3; fi; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked dependencies into $(VENV)" >&2
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run | $(VENV)/bin/python
	@echo "installing the locked tools for checks and tests into $(VENV)" >&2
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
