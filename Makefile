# `make run` and `make test` do all the set-up they need: Python 3.11 or newer with venv, and make.

PY ?= python3
V := .venv
PYTHON := $(V)/bin/python
HOME_FOLDER := $(or $(ZCC_HOME),var)
COMPILE := uv pip compile -q --universal --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'
# So many test processes at once, each with files of its own; 0: one, which also takes --pdb.
WORKERS ?= 2
# For example: make test TESTS=tests/zcc
TESTS ?=

.PHONY: run test check lock screenshots clean
.DEFAULT_GOAL := run

run: $(V)/.run
	@umask 077 && mkdir -p '$(HOME_FOLDER)'
	@umask 077 && $(PYTHON) manage.py migrate --verbosity 0
	@umask 077 && test -e '$(HOME_FOLDER)/welcome.json' || $(PYTHON) manage.py setup_demo
	@umask 077 && exec $(PYTHON) manage.py runzone --demo

test: $(V)/.test
	$(PYTHON) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(V)/.test
	$(V)/bin/ruff format --check .
	$(V)/bin/ruff check .
	$(V)/bin/mypy
	$(V)/bin/lint-imports
	@umask 077 && mkdir -p '$(HOME_FOLDER)'
	$(PYTHON) manage.py makemigrations --check --dry-run

# For maintainers, with uv: after a change of the dependencies in pyproject.toml.
lock:
	$(COMPILE) pyproject.toml build.in -o requirements.txt
	$(COMPILE) --extra dev pyproject.toml build.in -o requirements-dev.txt

screenshots: $(V)/.test
	$(PYTHON) -m docs.screenshots

# Everything that can be made again. The zone in var/ stays.
clean:
	rm -rf $(V) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON):
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed. Name it: make PY=python3.12")'
	@$(PY) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PY) -m venv $(V)

# The build backend is pinned too (build.in), so nothing is fetched for building.
$(V)/.run: requirements.txt pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(V)/.test: requirements-dev.txt $(V)/.run
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
