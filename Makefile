# Everything a contributor types. Each target does its own set-up; `make` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Python keeps what it has compiled: many tests start programs of ours, and each would compile anew.
export PYTHONDONTWRITEBYTECODE :=

PY := .venv/bin/python
CODE := $(wildcard gateway operator tests bench scripts)
CHECKS := format lint types imports layout crds docs spelling

.PHONY: help setup setup-runtime check $(CHECKS:%=check-%) control-plane helm gitops-tools test mutations test-heavy run bench simulate fmt \
	crds docs lock changelog clean

help: ## list the targets
	@echo "make …"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile

setup: ## make .venv with the pinned packages and the project (done by the others as needed)
	@scripts/setup dev

setup-runtime:
	@scripts/setup runtime

# Two at a time: the types take longer than all the others.
check: setup ## every check: format, lint, types, imports, layout, crds, docs, spelling
	@$(MAKE) -j2 $(CHECKS:%=check-%)

check-format: setup
	@echo "check: ruff format"; $(PY) -m ruff format --check --quiet $(CODE) \
		|| { $(PY) -m ruff format --diff --quiet $(CODE); exit 1; }

check-lint: setup
	@echo "check: ruff"; $(PY) -m ruff check --quiet --output-format concise $(CODE)

check-types: setup
	@echo "check: pyright"; $(PY) -m pyright --warnings

check-imports: setup
	@echo "check: import-linter"; .venv/bin/lint-imports --no-logo --cache-dir .cache/import-linter

check-layout: setup
	@echo "check: layout and sizes"; $(PY) -m pytest -q -p no:randomly tests/layout

check-crds: setup
	@echo "check: crds/"; .venv/bin/sluicegate crds --check \
		&& .venv/bin/sluicegate crds --check helm/sluicegate/files/crds

check-docs: setup
	@echo "check: generated pages"; $(PY) -m scripts.provider_table --check \
		&& $(PY) -m scripts.resource_reference --check && $(PY) -m scripts.log_tools --check \
		&& $(PY) -m scripts.metric_list --check && $(PY) -m scripts.chart_reference --check

check-spelling: setup
	@echo "check: codespell"; git ls-files -z --cached --others --exclude-standard \
		| xargs -0 -r .venv/bin/codespell

control-plane: ## build the control plane that tests/cluster runs against (once; minutes; needs Go)
	@scripts/control-plane

helm: ## build the helm that the tests of the chart run (once; minutes; needs Go)
	@scripts/helm

gitops-tools: ## build the judges that the tests of GitOps ask (once; a minute; needs Go)
	@scripts/gitops-tools

test: check control-plane helm gitops-tools ## everything that must pass before a commit: check and all tests
	@echo "test: pytest"; $(PY) -m pytest -q -rs -n auto --no-loadscope-reorder $(ARGS)

mutations: setup control-plane ## 5,000 changed objects: the API server and lint must agree on each
	@SLUICEGATE_MUTATIONS=5000 $(PY) -m pytest -q tests/cluster/test_admission_like_lint.py -k changed

test-heavy: setup control-plane helm ## the large and slow tests: operator and releases on a real control plane, and everything killed
	@echo "test: heavy"; $(PY) -m pytest -q -rs -m heavy tests/cluster tests/ledger $(ARGS)

run: setup-runtime ## start the gateway on examples/quickstart, http://127.0.0.1:4000/v1
	@exec .venv/bin/sluicegate serve --manifests examples/quickstart --allow-anonymous

bench: setup ## measure the gateway against its peers (takes minutes)
	@$(PY) -m bench $(ARGS)

simulate: setup ## compare routing strategies and settings on a virtual clock (minutes)
	@$(PY) -m bench.routing $(ARGS)

fmt: setup ## rewrite the code as `make check` wants it
	@$(PY) -m ruff check --fix --quiet $(CODE); $(PY) -m ruff format --quiet $(CODE)

crds: setup ## make crds/ anew from the models
	@.venv/bin/sluicegate crds --write crds && .venv/bin/sluicegate crds --write helm/sluicegate/files/crds

docs: setup ## make the generated pages and tables of docs/ anew
	@$(PY) -m scripts.provider_table && $(PY) -m scripts.resource_reference \
		&& $(PY) -m scripts.log_tools && $(PY) -m scripts.metric_list \
		&& $(PY) -m scripts.chart_reference && $(PY) -m scripts.health_cases

lock: ## compile requirements/*.in to pinned files with hashes (UPGRADE=1: newest versions)
	@scripts/lock $(if $(UPGRADE),--upgrade)

changelog: setup ## gather changes/ into CHANGELOG.md (VERSION=x.y.z)
	@$(PY) -m towncrier build --yes $(ARGS) $(if $(VERSION),--version $(VERSION))

clean: ## remove .venv and every cache
	@rm -rf .venv .venv-lock .venv.flock .cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
