# One command builds a cluster on this machine, another runs every test. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)

# An environment is up to date when it carries the digest of what it was made from.
digest = $(shell cat $(1) | sha256sum | cut -c1-16)
RUN := $(VENV)/.run-$(call digest,requirements-run.txt pyproject.toml)
DEV := $(VENV)/.dev-$(call digest,requirements-run.txt requirements-dev.txt pyproject.toml)

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: cluster
cluster: $(RUN) ## A real cluster on this machine: mirror, nodes, Kubernetes, smoke test
	@kubestead lab up

.PHONY: cluster-down
cluster-down: $(RUN) ## Removes that cluster and everything of it outside the cache
	@kubestead lab down

.PHONY: test
test: $(DEV) ## Every test: lint, unit, sanity, molecule, integration
	@tests/run lint unit sanity molecule integration

.PHONY: test-full
test-full: $(DEV) ## The same, and what takes too long for every change: all releases, rarer topologies
	@tests/run lint unit sanity molecule integration full

.PHONY: lint
lint: $(DEV) ## Formatting, types, YAML, Ansible's rules, changelog
	@tests/run lint

.PHONY: unit
unit: $(DEV) ## Unit tests
	@tests/run unit

.PHONY: sanity
sanity: $(DEV) ## ansible-test sanity, and the modules' unit tests as ansible-test runs them
	@tests/run sanity

.PHONY: molecule
molecule: $(DEV) ## Each role on real lab nodes
	@tests/run molecule

.PHONY: integration
integration: $(DEV) ## Whole clusters on the lab
	@tests/run integration

.PHONY: bench
bench: $(DEV) ## The playbook against a bare shell script with kubeadm, on the same nodes
	@tests/run bench

.PHONY: kube-bench
kube-bench: $(DEV) ## The CIS benchmark's checks on every node of a lab that runs
	@python tests/bench/kube_bench.py

.PHONY: failures
failures: $(DEV) ## What each failure of a machine costs a highly available lab, written to docs/failures.md
	@kubestead lab up -i inventories/lab-ha
	python -m tests.integration.failures -i inventories/lab-ha --write docs/failures.md
	kubestead lab down -i inventories/lab-ha

.PHONY: docs
docs: $(DEV) ## Writes again what is generated: defaults, variable pages, JSON schema, manual page
	@python -m kubestead.specification
	python -m kubestead.manual

.PHONY: clean
clean: ## Takes the lab down and removes what was built in the checkout; the cache of artefacts stays
	@if [ -x $(VENV)/bin/kubestead ]; then kubestead lab down; fi
	rm -rf build dist .ansible .cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	  echo "Kubestead needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=/path/to/python3.11" >&2
	  exit 1
	fi
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	    echo "Python has no venv module here: install it (Debian, Ubuntu: apt-get install python3-venv), then run this again." >&2
	    exit 1
	  fi
	  echo "Installing python3-venv"
	  apt-get update -qq
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
	fi
	echo "Making the Python environment .venv"
	$(PYTHON) -m venv $(VENV)

$(RUN): | $(VENV)/bin/pip
	@echo "Installing what the command needs into .venv"
	pip install --quiet --disable-pip-version-check -r requirements-run.txt
	pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	rm -f $(VENV)/.run-*
	touch $@

$(DEV): | $(RUN)
	@echo "Installing what the tests need into .venv"
	pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	rm -f $(VENV)/.dev-*
	touch $@
