# The words that a person and CI use alike. `make help` lists them; each prints what it runs.

BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile

# Reproducible builds: files carry the date of the commit. Without git: hatchling's own date.
COMMIT_DATE = $(shell git log -1 --format=%ct 2>/dev/null)

say = @printf '\n== %s: %s\n' '$@' '$(1)'

.DEFAULT_GOAL := help
.PHONY: setup run test test-long fuzz tools check fmt fmt-check lint types arch quick-tests bench \
  generate package lock clean help

setup: $(STAMP) ## make .venv with .venv/bin/flowrunner
	@printf '\n== setup: .venv is ready, try %s\n' '$(BIN)/flowrunner version'

$(STAMP): pyproject.toml requirements.lock
	@printf '\n== setup: %s\n' 'the locked libraries and FlowRunner itself into .venv'
	flock --close Makefile .make/venv

run: $(STAMP) ## start the daemon on the example flows (LISTEN=127.0.0.1:8080)
	$(call say,the daemon on flows/ until Ctrl-C)
	.make/run

test: $(STAMP) tools ## all tests, property tests with few examples
	$(call say,the whole suite)
	TEST_PROFILE=short $(PYTEST)

test-long: $(STAMP) tools ## all tests, property tests with many examples
	$(call say,the whole suite with many examples)
	TEST_PROFILE=long $(PYTEST) --timeout 1800

fuzz: $(STAMP) ## fuzz what strangers can send (SECONDS_EACH=60 for each target)
	$(call say,each target with a fuzzer that sees which lines it reaches)
	.make/fuzz

tools:
	$(call say,the programs that the tests drive)
	.make/test-tools

check: fmt-check lint types arch quick-tests ## format, lint, types, layers and the fast tests

quick-tests: $(STAMP)
	$(call say,unit tests and the rules of the house)
	TEST_PROFILE=short $(PYTEST) -m "not heavy" tests/unit tests/architecture

fmt: $(STAMP) ## rewrite the code in the house format
	$(call say,format and repair)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

fmt-check: $(STAMP)
	$(call say,the house format)
	$(BIN)/ruff format --check

lint: $(STAMP) ## ruff
	$(call say,all rules but those that pyproject.toml excepts)
	$(BIN)/ruff check

types: $(STAMP) ## mypy --strict over package, tests and benchmarks
	$(call say,mypy --strict)
	$(BIN)/mypy

arch: $(STAMP) ## the import contract
	$(call say,who may import whom)
	$(BIN)/lint-imports

bench: $(STAMP) ## the figures of the budgets
	$(call say,each row alone)
	$(BIN)/python benchmarks/run.py

generate: $(STAMP) ## write anew what is rendered from the code: schemas/, parts of docs/
	$(call say,schemas and generated pages)
	.make/generate

package: $(STAMP) ## wheel and source archive into dist/
	$(call say,wheel and source archive)
	rm -rf dist
	$(if $(COMMIT_DATE),SOURCE_DATE_EPOCH=$(COMMIT_DATE) )$(BIN)/python -m build --no-isolation --outdir dist

# On the oldest Python, which needs the most backports, and against the public registry alone:
# hashes of a local mirror or wheel folder do not belong into the file.
lock: $(STAMP) ## resolve requirements.lock anew (LOCK=--upgrade takes newer versions)
	$(call say,requirements.lock from pyproject.toml)
	PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= $(BIN)/pip-compile $(LOCK) \
	  --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --output-file requirements.lock pyproject.toml

clean: ## remove what was built and cached (not .venv, not .flowrunner)
	$(call say,builds and caches)
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find flowrunner tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
