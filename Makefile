# A machine needs only make and Python 3.11 or later. Everything that is installed comes from locked, hashed lists and
# goes into this folder (.venv and other .venv-…, .cache); `make clean` removes it.

# If it is not empty, `make demo` and `make cluster` leave everything running.
export KEEP ?=

# The Python to use instead of the first one that is found.
PYTHON ?=

# The seed of the storm (none: a random one), and its strength (small or full).
SEED ?=
SCALE ?= small

# The port of `make workspace`; its blob storage takes the next one. Empty: 8700, or a free one if that is taken; 0: a
# free one. The environment variable of this name is ignored, as other tools use it too.
PORT :=

# The cells of `make matrix` (none: all), and the built package that they examine (none: built from here).
CELL ?=
WHEEL ?=

# The Airflow of `make compat`: the oldest supported one, or 3.1.
AIRFLOW ?= 2.11

# The versions of Microsoft's SDK that `make conformance` runs.
SDKS ?= v1 v2

# More arguments for pytest: make test ARGS="-k blob"
ARGS ?=

# Processes that share a suite: more than two processors, as tests wait for servers. 0: only pytest's own, for a debugger.
WORKERS ?= 4
SHARED = --numprocesses $(WORKERS) --dist worksteal

SUITES := tests/unit tests/integration tests/dags
# Checked with the newest Airflow only, whose environment has mypy.
TYPING := tests/typing

# Long tests of code that imports no Airflow: running them once is enough.
WITHOUT_AIRFLOW := $(addprefix --ignore=tests/,unit/emulator integration/emulator unit/client/test_generated_replies.py \
	integration/client/test_call_faults.py integration/state/test_postgres.py unit/benchmarks integration/benchmarks)

UV := .cache/uv/bin/uv
NODE := .cache/node/.installed
AZURITE := .cache/azurite/.installed
CHROMIUM_HERE := .cache/chromium/.installed
PYRIGHT := .cache/pyright/.installed
NEWEST := .venv/.installed
OLDEST := .venv-2.11/.installed
COMPAT := .venv-$(AIRFLOW)/.installed
SDK_V1 := .venv-sdk-v1/.installed
SDK_V2 := .venv-sdk-v2/.installed
CLUSTERED := .venv-cluster/.installed
KILLED := $(if $(CLUSTER),$(CLUSTERED),$(if $(OLD),$(OLDEST),$(NEWEST)))
KILLS := tests/kills$(if $(CLUSTER),/cluster)
STORMED := $(if $(filter cluster,$(SCALE)),$(CLUSTERED),$(NEWEST))
PEERS := .venv-bench/.installed
RELEASE := .venv-release/.installed
DOCS := .venv-docs/.installed

# Without bytecode every Airflow process compiles all of Airflow again, for minutes.
export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help demo cluster screenshots workspace test compat coverage matrix kills chaos chaos-oracle conformance bench docs \
	release-check lint types format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(NEWEST) $(AZURITE) ## Run the whole story against a local workspace (KEEP=1: leave it running)
	@.venv/bin/python scripts/demo.py

cluster: $(CLUSTERED) $(AZURITE) ## Run Airflow with Celery, PostgreSQL and several of each component, and example DAGs on it (KEEP=1: leave it running)
	@.venv-cluster/bin/python scripts/cluster.py

screenshots: $(NEWEST) $(AZURITE) $(CHROMIUM_HERE) ## Take the pictures of the documents again, from a real Airflow and a local workspace
	@PYTHONPATH=scripts:tests .venv/bin/python scripts/screenshots.py

workspace: $(NEWEST) $(AZURITE) ## Serve a local workspace and blob storage for your own DAGs, until Ctrl-C (PORT=8700)
	@.venv/bin/python scripts/workspace.py $(PORT)

test: $(NEWEST) $(AZURITE) $(CHROMIUM_HERE) $(PYRIGHT) ## Run the test suite on the newest supported Airflow (ARGS="-k blob": more for pytest)
	@.venv/bin/python -m pytest $(SHARED) $(SUITES) $(TYPING) $(ARGS)

compat: $(COMPAT) $(AZURITE) ## Run the same suite on the oldest supported Airflow, without some long tests of code that does not import Airflow (AIRFLOW=3.1: on that)
	@$(dir $(COMPAT))bin/python -m pytest $(SHARED) $(SUITES) $(WITHOUT_AIRFLOW) $(ARGS)

coverage: $(NEWEST) $(AZURITE) ## Measure which lines and branches the unit and integration tests run; fails below the floor
	@.venv/bin/python -m coverage erase
	@.venv/bin/python -m coverage run -m pytest $(SHARED) tests/unit tests/integration $(ARGS)
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage report

matrix: $(NEWEST) $(AZURITE) ## Examine the built package on every Airflow and Python that it supports (CELL=3.1-py312: one cell)
	@rm -rf .cache/matrix/dist
	@$(if $(WHEEL),,.venv/bin/python -m hatchling build -t wheel -d .cache/matrix/dist >/dev/null)
	@.cache/uv/bin/python scripts/matrix.py $(or $(WHEEL),.cache/matrix/dist/*.whl) $(CELL)

kills: $(KILLED) ## Kill a real Airflow's processes at all kinds of moments and count the runs (OLD=1: the oldest Airflow's; CLUSTER=1: those of a cluster)
	@$(dir $(KILLED))bin/python -m pytest $(KILLS) $(ARGS)

chaos: $(STORMED) $(AZURITE) ## A storm over a real Airflow, judged by what it left (SEED=1; SCALE=full: half an hour, on PostgreSQL; SCALE=cluster: on a cluster)
	@PYTHONPATH=scripts:tests $(dir $(STORMED))bin/python -m chaos --scale $(SCALE) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-oracle: $(NEWEST) $(AZURITE) ## Let small storms find bugs that are put in on purpose
	@.venv/bin/python -m pytest tests/chaos $(ARGS)

conformance: $(NEWEST) $(SDK_V1) $(SDK_V2) $(AZURITE) ## Let Microsoft's SDKs of v1 and v2 examine the local workspace (SDKS=v2: only that; ARGS="-k schedule": more for pytest)
	@failed=0; for sdk in $(SDKS); do \
		.venv-sdk-$$sdk/bin/python -m pytest -c tests/conformance/$$sdk/pytest.ini tests/conformance/completeness.py \
			tests/conformance/$$sdk $(ARGS) || failed=1; \
	done; exit $$failed

bench: $(PEERS) ## Measure what the provider costs, next to its peers (ARGS="--write": into docs/concepts/performance.md too; ARGS="--only cluster": thousands of tasks over two triggerers)
	@AIRFLOW_HOME=$(CURDIR)/.cache/bench .venv-bench/bin/python -W ignore benchmarks/bench.py $(ARGS)

docs: $(DOCS) $(CHROMIUM_HERE) ## Build the documentation site into .cache/docs/html, check its links, and search it in a browser
	@PYTHONPATH=scripts .venv-docs/bin/python -m website
	@.venv-docs/bin/python -m pytest tests/website $(ARGS)

release-check: $(RELEASE) ## Build the package and examine it as PyPI and users would; dist/ then has what can be uploaded
	@PYTHONPATH=scripts .venv-release/bin/python -m release

lint: $(NEWEST) ## Check style, formatting, spelling and words
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/codespell
	@.venv/bin/python scripts/words.py

types: $(NEWEST) $(PYRIGHT) ## Check types, and what mypy and pyright find in the DAGs of a user
	@.venv/bin/mypy
	@.venv/bin/python -m pytest $(TYPING)

format: $(NEWEST) ## Format, and fix what can be fixed
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

clean: ## Remove everything that the other commands installed or wrote
	rm -rf .venv .venv-2.11 .venv-3.1 .venv-sdk-v1 .venv-sdk-v2 .venv-bench .venv-docs .venv-release .venv-cluster .cache .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- installing ------------------------------------------------------------------------------------------------------

$(UV): requirements/uv.txt
	@echo "Installing uv into .cache/uv"
	@python=$$(sh scripts/find-python.sh $(PYTHON)) && "$$python" -m venv --clear .cache/uv
	@.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

define sync
	@echo "Installing $< into $(@D)"
	@$(UV) venv --quiet --no-project --allow-existing --python .cache/uv/bin/python $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
endef

# The package itself is installed without its dependencies and built with the locked tools. It is installed again when
# pyproject.toml or the version changes.
PACKAGE := pyproject.toml aml_provider/__init__.py

define install
	$(sync)
	@$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(NEWEST): requirements/airflow-3.3.txt $(PACKAGE) | $(UV)
	$(install)

.venv-2.11/.installed .venv-3.1/.installed: .venv-%/.installed: requirements/airflow-%.txt $(PACKAGE) | $(UV)
	$(install)

# The same Airflow with its own Azure provider, for comparison, and with PostgreSQL.
$(PEERS): requirements/benchmarks.txt $(PACKAGE) | $(UV)
	$(install)

# The same Airflow with Sphinx, which imports the classes that it describes.
$(DOCS): requirements/docs.txt $(PACKAGE) | $(UV)
	$(install)

# The same Airflow with Celery's executor, and the servers that a cluster needs.
$(CLUSTERED): requirements/cluster.txt $(PACKAGE) | $(UV)
	$(install)

# Microsoft's SDK of v1, which cannot be installed beside a current Airflow. It imports imghdr, which Python 3.13 does not have.
$(SDK_V1): requirements/conformance-v1.txt | $(UV)
	@.cache/uv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 13) and "Python 3.11 or 3.12 is needed for \
	Microsoft'"'"'s SDK: make clean, then make PYTHON=/path/to/python3.12 conformance")'
	$(sync)
	@touch $@

# Microsoft's SDK of v2, which needs other versions of the packages that v1's needs.
$(SDK_V2): requirements/conformance-v2.txt | $(UV)
	$(sync)
	@touch $@

# What builds and examines the package; the package itself goes into a fresh environment each time.
$(RELEASE): requirements/release.txt | $(UV)
	$(sync)
	@touch $@

$(NODE): requirements/node.txt scripts/find-node.sh | $(UV)
	@sh scripts/find-node.sh
	@touch $@

$(AZURITE) $(PYRIGHT): .cache/%/.installed: tools/%/package.json tools/%/package-lock.json tools/%/.npmrc $(NODE)
	@echo "Installing $* into $(@D)"
	@mkdir -p $(@D)
	@cp tools/$*/package.json tools/$*/package-lock.json tools/$*/.npmrc $(@D)
	@cd $(@D) && PATH="$(CURDIR)/.cache/node/bin:$$PATH" npm ci --loglevel=error --ignore-scripts --no-audit --no-fund
	@touch $@

$(CHROMIUM_HERE): scripts/find-chromium.sh tools/chromium/package.json tools/chromium/package-lock.json \
		tools/chromium/.npmrc $(NODE)
	@echo "Installing Chromium into $(@D)"
	@sh scripts/find-chromium.sh
	@touch $@

# --- locking ---------------------------------------------------------------------------------------------------------

export UV_CUSTOM_COMPILE_COMMAND := make lock
compile = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links $(if $(UPGRADE),--upgrade)

lock: $(UV) $(NODE) ## Write the locked requirements again (UPGRADE=1: take newer versions)
	$(compile) pyproject.toml requirements/airflow-3.3.in --extra emulator --extra openlineage --group build --group lint \
		--group test --group chaos --output-file requirements/airflow-3.3.txt
	$(compile) pyproject.toml requirements/airflow-2.11.in --extra emulator --extra openlineage --group build --group test \
		--output-file requirements/airflow-2.11.txt
	$(compile) pyproject.toml requirements/benchmarks.in --extra emulator --group build --group chaos \
		--output-file requirements/benchmarks.txt
	$(compile) pyproject.toml requirements/docs.in --extra emulator --group build --group docs --group test \
		--output-file requirements/docs.txt
	$(compile) pyproject.toml requirements/cluster.in --extra emulator --group build --group test --group chaos \
		--group cluster --output-file requirements/cluster.txt
	$(compile) requirements/conformance-v1.in --output-file requirements/conformance-v1.txt
	$(compile) requirements/conformance-v2.in --output-file requirements/conformance-v2.txt
	$(compile) --group build --group release --output-file requirements/release.txt
	.cache/uv/bin/python scripts/matrix_lock.py $(compile)
	$(compile) pyproject.toml requirements/airflow-3.1.in --extra emulator --extra openlineage --group build --group test \
		--output-file requirements/airflow-3.1.txt
	$(compile) --group node --output-file requirements/node.txt
	$(compile) requirements/uv.in --output-file requirements/uv.txt
	@for tool in azurite chromium pyright; do (cd tools/$$tool && PATH="$(CURDIR)/.cache/node/bin:$$PATH" \
		npm install --package-lock-only --ignore-scripts --no-audit --no-fund) || exit 1; done
