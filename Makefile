# The commands of this repository. Each sets up first what it needs; a set-up that is done costs a tenth of a second.
#   make up                deploy the local backend and verify it
#   make test              everything, with the real engine and real servers

PYTHON ?= python3
STACK ?= local
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup env up down preview verify status logs releases doctor monitor image lint hooks format pages coverage mutation test test-full test-fast test-unit bench schema upstream lock

# A shell may bring modules of another project, or an ASCII locale, in which a folder's name could not be written down.
unexport PYTHONHOME PYTHONPATH PYTHONPLATLIBDIR PYTHONSAFEPATH PYTHONSTARTUP PYTHONWARNINGS
export PYTHONUTF8 := 1
# Recipes run in the environment that `source .tools/activate` gives a shell.
ACTIVATE = . ./.tools/activate
SETUP = $(PYTHON) -m tools.bootstrap
# After an update: takes the salt of this clone's passphrase out of a file that is in git, and keeps the update's code.
FORGET_SALT = code=$$?; $(PYTHON) -m tools.bootstrap.stack $(STACK); exit $$code
# One file at a time: the tests of a file share their servers, and each server costs 11 CPU-seconds. As many workers
# as CI has cores: with a third, a row with a deadline was red.
PYTEST = .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

# A lock serves every platform and Python that pyproject.toml allows, and names no host: it installs from whatever index
# a machine is set up for. dev takes the versions of runtime, so that one environment serves both.
UV = .venv/bin/uv
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	--no-emit-find-links $(if $(filter 1,$(UPGRADE)),--upgrade)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what `make up` needs: .venv, the Pulumi CLI, the local state's passphrase
	@$(SETUP)

env: setup ## Say how to use pulumi by hand
	@echo 'source .tools/activate'

up: ## Deploy the local backend, or bring it up to date, and verify it
	@$(SETUP) --stack $(STACK)
	@$(ACTIVATE) && python -m scripts.up --stack $(STACK); $(FORGET_SALT)

down: ## Destroy the local backend; PURGE=1 deletes its data too
	@$(SETUP) --stack $(STACK)
	@$(ACTIVATE) && pulumi destroy --stack $(STACK) --yes --skip-preview; $(FORGET_SALT)
	$(if $(filter 1,$(PURGE)),rm -rf .backend/$(STACK))

preview: ## Show what an update of STACK would change; PREVIEW_FLAGS="--refresh --live" passes options on
	@$(SETUP) --stack $(STACK)
	@$(ACTIVATE) && python -m scripts.preview --stack $(STACK) $(PREVIEW_FLAGS); $(FORGET_SALT)

verify: setup ## Run the checks against STACK now
	@$(ACTIVATE) && python -m scripts.verify --stack $(STACK)

status: setup ## Show the last verdict on STACK, and what runs
	@$(ACTIVATE) && python -m scripts.status --stack $(STACK)

logs: setup ## Show the last lines of each process of STACK
	@$(ACTIVATE) && python -m scripts.logs --stack $(STACK)

releases: setup ## List the releases of STACK, and whether a rollback to each is possible
	@$(ACTIVATE) && python -m scripts.releases --stack $(STACK)

doctor: setup ## Say what STACK needs before its first update, and the command for each missing thing
	@$(ACTIVATE) && python -m scripts.doctor --stack $(STACK)

monitor: setup ## Watch STACK by a Prometheus of this machine, with the alerts, until Ctrl-C
	@$(ACTIVATE) && python -m scripts.monitor --stack $(STACK) run

image: setup ## Build the server's image of STACK, push it, and say what its settings name it by
	@$(ACTIVATE) && python -m scripts.image --stack $(STACK)

bench: setup-dev ## Measure the speed targets; prints the table of docs/benchmarks.md
	@$(ACTIVATE) && python -m scripts.bench

schema: setup ## Write the JSON Schema that editors use for Pulumi.*.yaml
	@$(ACTIVATE) && python -m scripts.schema

setup-dev:
	@$(SETUP) --group dev

# What the rig's Kubernetes cluster is made of: built once a machine.
setup-kubernetes: setup-dev
	@$(SETUP).kubernetes
	@.venv/bin/python -m tests.rig.kubernetes.prepared

setup-linters: setup-dev
	@$(SETUP).linters

lint: setup-linters ## Check style, types, layers, workflows, Dockerfile and shell, and that no secret is in the tree
	@PRE_COMMIT_HOME=.tools/pre-commit .venv/bin/pre-commit run --all-files

hooks: setup-linters ## Let git run those linters before each commit that concern what it changes
	@.venv/bin/pre-commit install

format: setup-dev ## Rewrite the style that can be rewritten
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

pages: setup-dev ## Write what the pages of docs/ show of the code: their blocks of cog
	@.venv/bin/python -m cogapp -r $$(git grep --untracked -l '\[\[\[cog' -- '*.md')

# pyproject.toml lists the pure modules. The server's tests that are not named run in environments that are not measured.
coverage: export COVERAGE_FILE = $(CURDIR)/.tools/coverage/data
coverage: setup-dev ## Measure the branch coverage of the pure modules; red if one is below 95 %
	@rm -rf .tools/coverage && mkdir .tools/coverage
	@.venv/bin/coverage run -m pytest -q --numprocesses 2 --dist loadfile -m 'not engine and not rig and not slow' \
	  tests/components tests/policy tests/scripts \
	  $(patsubst %,tests/server/test_%.py,access bodies db_rows db_schema direct figures health request_filter route_tables)
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report | awk '$$6 !~ /%$$/ { next } { last = $$0 } $$6 + 0 < 95 { print; red = 1 } \
	  END { print last; exit red || !last }'

# Of what is committed, in a copy in which mutmut finds the package: it knows modules below src only.
mutation: MUTMUT = $(CURDIR)/.venv/bin/mutmut
mutation: setup-dev ## Change the modules that decide about rollbacks, and list each change that no test notices
	@rm -rf .tools/mutation && mkdir .tools/mutation && git archive HEAD | tar -xC .tools/mutation
	@cd .tools/mutation && mv components src && { $(MUTMUT) run >log 2>&1 || { tail -c 2000 log; exit 1; }; } && \
	  ! $(MUTMUT) results | sed -n '/: timeout$$/d; s/^ *\(.*\): .*/\1/p' | xargs -rn 1 $(MUTMUT) show | grep .

test: setup-kubernetes ## Run the tests of every level, on the real engine and real servers too; CI runs this
	@$(PYTEST) -m 'not full'

test-full: setup-kubernetes ## Run all tests, the long matrices too; the weekly workflow runs this
	@$(PYTEST)

test-fast: setup-dev ## Run the tests that start no engine and no platform
	@$(PYTEST) -m 'not engine and not rig and not full'

test-unit: setup-dev ## Run the tests that start nothing; of one part only: make test-unit PART=components/mlflow_backend/verify
	@$(PYTEST) -m 'not engine and not rig and not service and not slow and not full' tests/$(PART)

upstream: setup-dev ## Plan each AWS resource with the upstream provider; the first time builds it, for half an hour
	@.venv/bin/python -m tests.upstream

lock: setup ## Compile the locks in requirements/ anew from pyproject.toml; UPGRADE=1 takes newer versions
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(LOCK) --no-annotate requirements/uv.in --output-file requirements/uv.txt
