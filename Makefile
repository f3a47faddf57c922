# Two commands matter: `make demo` and `make test`. Everything they need is installed into .venv, from hashed lock files.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
OUT    ?= out/demo

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports contracts lock swift referee bench bench-logistic bench-cox bench-screen bench-scale \
        bench-dataset bench-publish bench-gas bench-demo bench-broker faults clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9

$(VENV)/.runtime: $(UV) lock/runtime.txt pyproject.toml
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r lock/runtime.txt
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: $(UV) lock/dev.txt pyproject.toml
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r lock/dev.txt
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(UV) lock/bench.txt pyproject.toml
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r lock/bench.txt
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@ $(VENV)/.dev $(VENV)/.runtime

demo: $(VENV)/.runtime ## four hospitals, one lab, one deal, one opened result
	$(BIN)/heartify demo --out $(OUT)

test: $(VENV)/.dev ## all tests but the slow suites
	$(BIN)/pytest -n 2 --dist loadfile

check: lint types imports contracts ## lint, types, import contracts, compiled contracts are current

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

contracts: $(VENV)/.dev
	$(BIN)/python -m tools.compile_contracts --check

lock: $(UV) ## resolve the lock files anew from pyproject.toml
	$(UV) pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url -c lock/constraints.in -o lock/runtime.txt
	$(UV) pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url -c lock/runtime.txt -o lock/dev.txt
	$(UV) pip compile -q pyproject.toml --group bench --universal --python-version 3.11 --generate-hashes --no-emit-index-url -c lock/dev.txt -o lock/bench.txt
	echo swift==2.38.0 | $(UV) pip compile -q - --universal --python-version 3.11 --generate-hashes --no-emit-index-url -o lock/swift.txt

$(VENV)-swift/.ready: $(UV) lock/swift.txt
	$(UV) venv --quiet --clear --python $(PYTHON) $(VENV)-swift
	VIRTUAL_ENV=$(VENV)-swift $(UV) pip install --quiet --require-hashes -r lock/swift.txt
	@touch $@

swift: $(VENV)-swift/.ready ## a real S3 server for the storage tests, in an environment of its own

referee: $(VENV)/.dev ## run R again and compare with the committed reference values
	$(BIN)/python referee/check.py

bench: bench-logistic bench-cox bench-screen bench-scale ## every benchmark of the statistics, with peers in the same run

bench-logistic: $(VENV)/.bench ## 10 million encrypted rows against glum and scikit-learn
	$(BIN)/python bench/logistic.py | tee bench/results/logistic.json

bench-cox: $(VENV)/.bench ## 1 million encrypted rows against R coxph and lifelines
	$(BIN)/python bench/cox.py | tee bench/results/cox.json

bench-screen: $(VENV)/.bench ## 10,000 candidates against plink2
	$(BIN)/python bench/screen.py | tee bench/results/screen.json

bench-scale: $(VENV)/.bench ## time and memory from 100 thousand to 100 million encrypted rows
	$(BIN)/python bench/scale.py

bench-dataset: $(VENV)/.dev ## the encrypted dataset version against plain Parquet
	$(BIN)/python bench/dataset.py | tee bench/results/dataset.json

bench-publish: $(VENV)/.bench ## publishing 1, 10 and 100 million rows: time, memory, killed and continued
	$(BIN)/python bench/publish.py | tee bench/results/publish.json

bench-gas: $(VENV)/.dev ## gas of match and settle from receipts on the embedded chain
	$(BIN)/python bench/gas.py

bench-broker: $(VENV)/.dev ## key releases a second under load, and what no broker can avoid
	$(BIN)/python bench/broker.py | tee bench/results/broker.json

faults: $(VENV)/.dev ## kill the key broker at every single call of a release (an hour)
	HEARTIFY_TEST_KILL_POINTS=0 $(BIN)/pytest tests/integration/broker/test_killed_anywhere.py

bench-demo: $(VENV)/.dev ## seconds from start to opened result of the demo
	$(BIN)/python bench/demo.py

clean: ## remove what make installed and wrote here
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
