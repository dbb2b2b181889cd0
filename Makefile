# The only door: every step of the work is a target here.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(POSTERN_CACHE),$(HOME)/.cache/postern)
UV_VERSION := 0.13.8
UV := $(CACHE)/uv/$(UV_VERSION)/bin/uv
RUN := $(UV) run --frozen --all-groups --all-extras --
VENV := .venv/.synced

.PHONY: help init demo try test test-fast test-kernel test-clients test-browser test-cluster check generate verify images cluster cluster-down clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@echo "installing uv $(UV_VERSION) into $(CACHE)"
	@python3 -m venv $(CACHE)/uv/$(UV_VERSION) && $(CACHE)/uv/$(UV_VERSION)/bin/pip install --quiet uv==$(UV_VERSION)

$(VENV): $(UV) uv.lock pyproject.toml crds/pyproject.toml operator/pyproject.toml sidecar/pyproject.toml
	@$(UV) sync --frozen --quiet --all-groups --all-extras
	@touch $@

init: $(VENV) ## install the development environment into .venv

check: init ## formatting, lint, types, layers
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports

generate: init ## write everything that is derived from the sources
	$(RUN) python -m postern_crds crds/mcpauthpolicies.postern.dev.yaml
	cp crds/mcpauthpolicies.postern.dev.yaml charts/postern/crds/
	$(RUN) python -m postern_crds.reference docs/policy.md

verify: generate ## fail when a derived file is not fresh
	git diff --exit-code -- crds charts docs

try: init ## the whole story on loopback: no cluster, no root (KEEP=1 leaves it running)
	$(RUN) python -m examples.try

demo: init ## the whole story on a real Kubernetes (CLUSTER=current: kubectl's current context)
	$(RUN) python -m examples.demo

test-fast: init ## unit, property, in-process and socket tests: some three minutes
	$(RUN) pytest -m "not cluster and not root and not browser and not clients" -n 2 --dist loadfile

test-kernel: init ## the redirect's rules, in network namespaces of their own (root)
	@python3 -m tests.support.images.debian nft=nftables ip=iproute2 setpriv=util-linux unshare=util-linux
	$(RUN) pytest -m "root and not cluster"

test-clients: init ## MCP clients as people use them, at real identity providers; the conformance suite
	@$(RUN) python -m tests.clients.prepare
	$(RUN) pytest -m clients tests/clients tests/conformance

test-browser: init ## the login pages and the MCP Inspector in Chromium
	@python3 -m tests.support.images.debian /usr/bin/chromium=chromium
	@$(RUN) python -m tests.support.browsers.inspector
	$(RUN) pytest -m browser tests/browser

test-cluster: init ## everything on a real Kubernetes (CLUSTER=current: kubectl's current context)
ifneq ($(CLUSTER),current)
	python3 -m tests.support.cluster up
endif
	$(RUN) pytest -m cluster

test: check test-fast test-kernel test-clients test-browser test-cluster ## everything, fast tiers first

images: init ## build the images of this checkout (and of the demo) as archives
	$(RUN) python -m examples.demo.images

cluster: ## a real single-node Kubernetes on this machine
	python3 -m tests.support.cluster up

cluster-down: ## end that cluster and leave nothing behind
	python3 -m tests.support.cluster down
