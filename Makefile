# `make` lists the targets. Everything happens in .venv; nothing is installed elsewhere.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv and install what is locked
$(STAMP): pyproject.toml requirements.lock scripts/setup
	@bash scripts/setup $(VENV)

demo: $(STAMP) ## measure this machine, predict it, price it; prints where the report is
	@$(BIN)/workbench demo

test: lint $(STAMP) ## lint, types, layers, and the fast tests (with coverage)
	@bash scripts/run-tests fast

test-slow: $(STAMP) ## the tests that take minutes
	@bash scripts/run-tests slow

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check workbench engines sims tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: $(STAMP) ## build the docs site into site/, links checked
	@$(BIN)/workbench docs build
	@$(BIN)/mkdocs build --strict --quiet

clean: ## remove the environment, caches and generated files (never your runs/)
	@rm -rf $(VENV) site dist .mypy_cache .ruff_cache .hypothesis .coverage*

.PHONY: help setup demo test test-slow lint docs clean
