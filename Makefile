# Everything that is installed goes into .venv; nothing is asked of a package index as long as
# pyproject.toml and constraints.txt have not changed since.

PYTHON ?= python3
OUT ?= out
PY := .venv/bin/python

.PHONY: help demo test lint docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    install, fetch the default models, make a first report in $(OUT)/"
	@echo "make test    install with the test extra; ruff, mypy, pytest"
	@echo "make lint    ruff and mypy alone"
	@echo "make docs    run the tutorials and write them, with what they show, to docs/tutorials/"
	@echo "make clean   remove .venv, out/, build/, dist/ and caches (not the fetched models)"
	@echo
	@echo "PYTHON=python3.12 chooses the Python that .venv is made of, OUT=folder the report's place."

demo: .venv/.compiled
	@$(PY) -m smotext_lab demo --out "$(OUT)"

# mypy keeps one core busy while the other compiles
test: .venv/.test-installed
	@$(MAKE) --no-print-directory -j 2 lint .venv/.compiled
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist worksteal

lint: .venv/.test-installed
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

docs: .venv/.test-installed .venv/.compiled
	@$(PY) docs/render_tutorials.py

clean:
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache

.venv/.installed: pyproject.toml constraints.txt
	@$(make-venv)
	$(PY) -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.test-installed: pyproject.toml constraints.txt
	@$(make-venv)
	$(PY) -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch .venv/.installed $@

# All cores compile what pip would compile on one; without it every process of an environment that
# may not write bytecode takes ten seconds longer to start. Some packages carry files that are no
# Python of this version: no reason to stop.
.venv/.compiled: .venv/.installed
	@$(PY) -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null 2>&1 || true
	@touch $@

# A .venv whose pip does not run was left half made, or its Python is gone: it is made anew.
define make-venv
if ! $(PY) -m pip --version >/dev/null 2>&1; then \
  if ! command -v "$(PYTHON)" >/dev/null; then \
    echo "There is no $(PYTHON): install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi; \
  if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
    echo "smotext-lab needs Python 3.11 or newer and $(PYTHON) is $$("$(PYTHON)" -V 2>&1): install one and name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi; \
  if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
    echo "$(PYTHON) cannot make a virtual environment: on Debian and Ubuntu, 'apt-get install python3-venv' adds what is missing." >&2; exit 1; fi; \
  rm -rf .venv && "$(PYTHON)" -m venv .venv; \
fi
endef
