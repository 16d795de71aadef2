# Everything a developer types. `make` alone says what there is; README and CONTRIBUTING say why.
.POSIX:
.SUFFIXES:
.PHONY: help setup demo test coverage check format soak bench-inprocess bench-redis wheels requirements clean

BIN = .venv/bin
DISTRIBUTIONS = flowrra-core flowrra-cli flowrra-redis
PROJECTS = $(DISTRIBUTIONS:%=%/pyproject.toml)
PYTEST_ARGS =
TEST_PROCESSES = 2
BENCH_ARGS =
PYTHON =

PIP = $(BIN)/python -m pip --disable-pip-version-check -qq
EDITABLE = $(PIP) install --no-deps --no-build-isolation $(DISTRIBUTIONS:%=--editable ./%)
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header

help:
	@echo 'make demo             run the demonstration: real work on this Python'\''s own library'
	@echo 'make test             run all tests (PYTEST_ARGS="-k retry" for some of them)'
	@echo 'make check            lint, formatting, types with mypy and pyright, architecture'
	@echo 'make format           let ruff format and mend what it can'
	@echo 'make coverage         run all tests and write htmlcov/index.html'
	@echo 'make soak             run the long tests at their whole size'
	@echo 'make bench-inprocess  measure the memory broker beside its peers'
	@echo 'make bench-redis      measure the Redis broker beside its peers'
	@echo 'make wheels           build every distribution into dist/'
	@echo 'make setup            make .venv with everything above needs (the others do so when needed)'
	@echo 'make requirements     choose the newest versions for requirements/*.txt'
	@echo 'make clean            remove environments, caches and builds'

setup: .venv/.dev

demo: .venv/.demo
	@echo 'Running the demonstration: flowrra demo'
	@$(BIN)/flowrra demo

test: setup servers
	@echo 'Running the tests: architecture, core, Redis, command line, packaging (builds wheels, makes environments)'
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) $(PYTEST_ARGS)

# The servers that tests start for themselves. Where they can't be installed, the tests say what is missing.
.PHONY: servers
servers:
	@command -v redis-server >/dev/null && command -v openssl >/dev/null || { \
		echo 'Installing what the tests start: redis-server, openssl'; \
		as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		if command -v apt-get >/dev/null; then \
			$$as_root apt-get -qq update && $$as_root apt-get -qq install --yes --no-install-recommends redis-server openssl; \
		else \
			echo 'Install redis-server (6.2 or newer) and openssl with your package manager' >&2; exit 1; \
		fi; \
	}

coverage: setup servers
	@echo 'Running the tests under coverage'
	@$(BIN)/python -m pytest --cov --cov-report=term --cov-report=html $(PYTEST_ARGS)

check: setup
	@echo 'Linting: ruff check'
	@$(BIN)/ruff check .
	@echo 'Formatting: ruff format --check'
	@$(BIN)/ruff format --check .
	@echo 'Types: mypy --strict'
	@$(BIN)/mypy
	@echo 'Types: pyright, strict'
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@echo 'Architecture: layers, exports, sizes, hooks, dependencies'
	@$(BIN)/python -m pytest tests/architecture

format: setup
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

soak: setup servers
	@echo 'Running the long tests at their whole size'
	@FLOWRRA_SOAK=1 $(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGS)

bench-inprocess: setup
	@echo 'Measuring the memory broker beside its peers, each in an environment of its own'
	@$(BIN)/python -m benchmarks.inprocess $(BENCH_ARGS)

bench-redis: setup servers
	@echo 'Measuring the Redis broker beside its peers, each in an environment of its own'
	@$(BIN)/python -m benchmarks.redis $(BENCH_ARGS)

wheels: setup
	@echo 'Building wheels into dist/'
	@for project in . $(DISTRIBUTIONS); do \
		$(BIN)/python -m build --wheel --no-isolation --outdir dist "$$project" || exit 1; \
	done

requirements: setup
	@echo 'Choosing versions: requirements/dev.txt, requirements/demo.txt'
	@$(COMPILE) requirements/dev.in --output-file requirements/dev.txt
	@$(COMPILE) requirements/demo.in --constraint requirements/dev.txt --output-file requirements/demo.txt

clean:
	rm -rf .venv benchmarks/.venv-bench .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each is newer than what it was made from, so that a set-up runs only when something changed.

.venv/bin/python:
	@for python in $${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$("$$python" --version)"; \
			"$$python" -m venv .venv && exit 0; \
			rm -rf .venv; exit 1; \
		fi; \
	done; \
	echo 'Flowrra needs Python 3.11 or newer and found none; name one: make setup PYTHON=/path/to/python3' >&2; \
	exit 1

.venv/.demo: .venv/bin/python requirements/demo.txt $(PROJECTS)
	@echo 'Setting up for the demonstration: requirements/demo.txt into .venv'
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(EDITABLE)
	@touch $@

.venv/.dev: .venv/bin/python requirements/dev.txt $(PROJECTS)
	@echo 'Setting up for development: requirements/dev.txt into .venv'
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(EDITABLE)
	@touch $@ .venv/.demo
