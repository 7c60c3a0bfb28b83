# Everything runs in .venv, which is made with what a bare Python brings.

PYTHON ?= python3
PORT ?= 12345
BIN := .venv/bin

# The tests start thousands of processes; each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help serve test check docs simulate soak lossy flood fuzz mutants bench clean

help:  ## Show what can be made.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

serve: .venv/base  ## Set up and start the chat server on port 12345 (PORT=... for another).
	@GROUPCHAT_MAKE=1 exec $(BIN)/groupchat serve $(PORT)

test: .venv/all .venv/netcat check docs  ## Set up and pass all checks and tests.
	$(BIN)/coverage erase
	$(BIN)/pytest -n auto --cov --cov-report= $(TESTS)
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='groupchat/core/*' --fail-under=100

check: .venv/all  ## Format, lint, types and import rules.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/all  ## Build the documentation; warnings are errors.
	$(BIN)/sphinx-build -qW --keep-going docs docs/_build

simulate: .venv/base  ## Simulate crashes and bad networks, until stopped (SEEDS=n, or SEED=n again).
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(STEPS),--steps $(STEPS))

soak: .venv/all  ## Kill a real server 200 times under load; nothing may be lost.
	@$(BIN)/python -m tests.campaigns.soak

lossy: .venv/all  ## 5,000 messages over a link that loses three datagrams of ten.
	@$(BIN)/python -m tests.campaigns.lossy

flood: .venv/all  ## Chat while others flood the server (as root, with a C compiler).
	@$(BIN)/python -m tests.campaigns.flood

fuzz: .venv/all  ## 1,000,000 inputs for everything that reads bytes from outside.
	@$(BIN)/python -m tests.campaigns.fuzz

mutants: .venv/all  ## Mutation testing of the core; takes some minutes.
	$(BIN)/python tests/mutants.py

bench: .venv/bench  ## Measure what a message costs, beside ngIRCd and NATS if they are there.
	$(BIN)/python -m bench --to docs/measured

clean:  ## Remove the environment and whatever was built.
	rm -rf .venv docs/_build mutants .coverage* .*_cache .hypothesis build dist

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "groupchat needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/base: .venv/bin/python pyproject.toml
	@echo "Setting up .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/all: .venv/base
	@echo "Setting up what tests, checks and documentation need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,fuzz,mutants,docs]'
	@touch $@

# Other servers, to compare with. Not every machine can have them.
.venv/bench: .venv/base
	@echo "Setting up what the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]' \
	  || echo "That is not to be had here, so what needs it is skipped."
	@touch $@

# The README's nc sessions are run by the tests. Only a system package brings nc.
.venv/netcat:
	@command -v nc >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && echo "Installing netcat ..." && apt-get -qq update >/dev/null \
	  && apt-get -qq install -y netcat-openbsd >/dev/null; } \
	  || echo "nc is not installed, so its tests are skipped; install the package netcat-openbsd."
	@touch $@
