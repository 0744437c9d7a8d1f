# The commands of everyday work. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run test chaos lint format bench lock clean

# Written by scripts/setup when an installation is complete; newer requirements make it stale.
FOR_RUNNING := .venv/installed-for-running
FOR_WORKING := .venv/installed-for-working

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(FOR_WORKING) ## Make .venv with everything needed to work on Samovar

run: $(FOR_RUNNING) ## Start Samovar, deploy functions/hello-python, call it, print the URLs
	@exec .venv/bin/samovar up --with functions/hello-python

test: $(FOR_WORKING) ## Install what the tests need, then run all of them
	@scripts/ensure-components
	@scripts/test

chaos: $(FOR_WORKING) ## Kill everything at random under load, then count; CHAOS="--minutes 10 --seed 7"
	@scripts/ensure-components
	@.venv/bin/python -m tests.end_to_end.storm $(CHAOS)

lint: $(FOR_WORKING) ## Look for style and type errors
	@scripts/check

format: $(FOR_WORKING) ## Format the code
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix-only --quiet .

bench: $(FOR_WORKING) ## Measure, on an otherwise idle machine; BENCH=--quick, BENCH="--only warm" and the like
	@scripts/ensure-components docker runsc base-image wrk
	@.venv/bin/python -m benchmarks $(BENCH)

lock: $(FOR_WORKING) ## Pin the newest versions that pyproject.toml allows
	@scripts/lock

clean: ## Remove everything that can be made again
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis images/wheelhouse/*.whl
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(FOR_RUNNING): pyproject.toml requirements.lock
	@scripts/setup

$(FOR_WORKING): pyproject.toml requirements.lock
	@scripts/setup --dev
