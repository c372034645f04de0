# What a developer of gatekeep types. Needs Python 3.11 or later and make; the rest goes into .venv, made on first use.
#
#   make demo APP=flask PORT=9000     make test PYTHON=/path/to/python3.12     .venv/bin/python -m pytest tests/stores

APP  ?= fastapi
PORT ?= 8000
# The interpreter that .venv is made with; the first of these that will do, when it is not given.
PYTHON ?=

VENV = .venv
RUN  = $(VENV)/bin/python -m
# Peers have an environment of their own: what they need of other packages is not the tests' business.
BENCH_VENV = .venv-bench
BENCH_PYTHON = $(BENCH_VENV)/bin/python
# What is measured is the compiled build.
BENCH_RUN  = PYTHONPATH=$(CURDIR)/$(COMPILED) $(BENCH_PYTHON) -m
# The compiled build, unpacked: before the path of the editable install it stands in for src, for processes that tests start too.
COMPILED = build/compiled
ON_COMPILED = GATEKEEP_TEST_BUILD=compiled PYTHONPATH=$(CURDIR)/$(COMPILED) $(VENV)/bin/python
# What drives the kernel and the cache under both protocols, without what looks at sources and guide alone.
PART ?= $(filter-out $(addprefix tests/test_,bytecodes.py docs.py imports.py),$(wildcard tests/test_*.py)) tests/components/cache
# DOCS=1 writes the tables and the picture into the guide.
DOCS ?=
CODE = src tests examples benchmarks

.PHONY: help demo test test-browser compiled test-compiled vendor coverage lint format types docs bench guard clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/demo.installed ## Serve an orders API behind the gateway: APP=fastapi, flask or django; PORT=8000
	@$(RUN) examples.demo --app $(APP) --port $(PORT)

test: $(VENV)/suite.fetched ## Run every test, fail under 95 % branch coverage of src/gatekeep, and run the kernel's and the cache's tests on the compiled build
	@$(RUN) coverage erase
	$(RUN) coverage run -m pytest -n auto
	@$(RUN) coverage combine --quiet
	@total=$$($(RUN) coverage report --format=total) || { $(RUN) coverage report; exit 1; }; \
	echo "$$total % of src/gatekeep covered, branches counted"
	@if $(VENV)/bin/python tests/compiler.py; then $(MAKE) --no-print-directory test-compiled; \
	else echo "the compiled build is left out" >&2; fi

compiled: $(COMPILED).made ## Compile the kernel with mypyc, into build/compiled; see docs/compiled-build.md

test-compiled: $(COMPILED).made ## Run tests on the compiled build: PART=tests/stores, or else the kernel's and the cache's
	@$(ON_COMPILED) tests/smoke.py compiled
	@$(ON_COMPILED) -m pytest -n auto $(PART)

test-browser: $(VENV)/test.installed ## Open the dashboard in Chromium: CHROMIUM=/path/to/it where it is not on the PATH
	$(RUN) pytest -q tests/browser/dashboard.py

vendor: ## Fetch the dashboard's chart library anew, in the version that tests/browser/vendor.sh names; needs npm
	sh tests/browser/vendor.sh

coverage: ## Show which lines the last `make test` missed
	@$(RUN) coverage report

lint: $(VENV)/test.installed ## Check style and formatting
	$(RUN) ruff check $(CODE)
	$(RUN) ruff format --check $(CODE)

format: $(VENV)/test.installed ## Put the code in its form
	$(RUN) ruff check --fix $(CODE)
	$(RUN) ruff format $(CODE)

types: $(VENV)/test.installed ## Check the types
	$(RUN) mypy

docs: $(VENV)/test.installed ## Run every example of the guide in docs/
	$(RUN) pytest -q tests/test_docs.py
	@echo "The guide starts at docs/index.md"

bench: $(BENCH_VENV)/bench.installed $(COMPILED).made ## Measure gatekeep beside the bare apps and its peers; DOCS=1 writes the tables into the guide
	@PYTHONPATH=$(CURDIR)/$(COMPILED) $(BENCH_PYTHON) tests/smoke.py compiled
	$(BENCH_RUN) benchmarks $(if $(DOCS),--docs)
	$(BENCH_RUN) benchmarks.pure $(if $(DOCS),--docs)
	$(BENCH_RUN) benchmarks.wire $(if $(DOCS),--docs)
	$(BENCH_RUN) benchmarks.proxies $(if $(DOCS),--docs)
	$(BENCH_RUN) benchmarks.scale $(if $(DOCS),--docs)
	$(if $(DOCS),$(BENCH_RUN) benchmarks.picture)

guard: $(VENV)/test.installed ## Count the bytecodes of reference requests against the record
	$(RUN) benchmarks.guard

clean: ## Remove .venv, .venv-bench and everything that the tools left behind
	rm -rf $(VENV) $(BENCH_VENV) .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -name '*.so' -delete

# One stamp for each set of extras, so that the demo does not wait for the tools of the tests.
$(VENV)/%.installed: pyproject.toml $(VENV)/made
	$(RUN) pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

$(BENCH_VENV)/bench.installed: pyproject.toml $(BENCH_VENV)/made
	$(BENCH_PYTHON) -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	@touch $@

# In a copy of the sources: the hook puts what it makes beside them, where the pure build would find it.
$(COMPILED).made: pyproject.toml $(shell find src -type f -not -name '*.py[co]') tests/compiler.py $(VENV)/test.installed
	@rm -rf $(COMPILED) build/compile && mkdir -p build/compile
	@cp -R pyproject.toml README.md LICENSE .gitignore src build/compile/
	@echo "compiling, which takes a minute or two"
	@cd build/compile && HATCH_BUILD_HOOKS_ENABLE=1 $(CURDIR)/$(VENV)/bin/python $(CURDIR)/tests/compiler.py \
	  $(CURDIR)/$(RUN) hatchling build --target wheel --directory ../wheel
	@$(VENV)/bin/python -m zipfile --extract build/wheel/*.whl $(COMPILED)
	@rm -rf build/compile build/wheel && touch $@

# Cases of the official JSON Schema test suite, which the tests run.
$(VENV)/suite.fetched: $(VENV)/test.installed tests/json_schema_suite.py
	$(VENV)/bin/python tests/json_schema_suite.py
	@touch $@

$(VENV)/made $(BENCH_VENV)/made:
	@for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python); do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "making $(@D) with $$("$$python" --version)"; \
	    "$$python" -m venv $(@D) && touch $@; exit; \
	  fi; \
	done; \
	echo "gatekeep needs Python 3.11 or later with its venv module$(if $(PYTHON),; $(PYTHON) is not that,; none is on the PATH: name one with PYTHON=)" >&2; \
	exit 1

.SECONDARY: $(VENV)/made $(BENCH_VENV)/made
