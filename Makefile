# Needs Python 3.11+ and make; everything else is installed into .venv from the lock.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 1
PROCESSES ?= 2

.PHONY: demo test lint format contracts migration lock bench drill sbom mutants fuzz chaos soak image-try clean

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Daohu needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/ready

demo: .venv/ready  ## a county's month, end to end
	@$(BIN)/daohu demo --county pingli --seed $(SEED)

test: .venv/ready  ## every test, in PROCESSES at once; the last lines say what was measured, and what did not run here and why
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadscope

lint: .venv/ready  ## style, types, import walls, contracts, locks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m shared.events check
	@$(BIN)/daohu openapi --check docs/openapi.json
	@$(BIN)/daohu roles table --check docs/roles.md
	@$(BIN)/python -m services.personal_table check
	@$(BIN)/python -m services.limits_table check
	@$(BIN)/python -m services.codes_table check
	@$(BIN)/python tests/lint_locks.py
	@$(BIN)/python -m deploy.sbom check

format: .venv/ready  ## puts the code into its style
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

contracts: .venv/ready  ## schemas, examples, docs/events.md and docs/asyncapi.yaml from the event models, docs/openapi.json and docs/roles.md from the routes, the tables of the other pages
	@$(BIN)/python -m shared.events write
	@$(BIN)/daohu openapi > docs/openapi.json
	@$(BIN)/daohu roles table > docs/roles.md
	@$(BIN)/python -m services.personal_table write
	@$(BIN)/python -m services.limits_table write
	@$(BIN)/python -m services.codes_table write

drill: .venv/ready  ## backup, destroy, restore, verify, in both modes; prints how long it took (docs/backup.md)
	@$(BIN)/python -m pytest -q -k drill tests/e2e/test_backup.py tests/integration/test_drill.py

bench: .venv/ready  ## every figure beside its floor → bench/results.json and a table (under 40 minutes; bench/README.md)
	@$(BIN)/python -m bench

sbom: .venv/ready  ## docs/sbom.cdx.json (CycloneDX) and docs/licences.md from the locks; refuses a licence we may not hand on
	@$(BIN)/python -m deploy.sbom write

mutants: .venv/ready  ## each protection off in turn, in a copy: the test named for it must fail by an assertion (about 2 minutes)
	@$(BIN)/python -m tests.mutants

chaos: .venv/ready  ## the county's month while everything is killed, 100 times and more → bench/chaos.json, docs/reliability.md (about 8 minutes)
	@$(BIN)/python -m tests.chaos --kills 100 --seed $(SEED)

fuzz: .venv/ready  ## 100,000 hostile inputs: routes, crossed requests, files, SMS replies; exit code 0 when nothing was wrong (20 minutes at most on two idle cores)
	@$(BIN)/python -m tests.fuzz --inputs 100000

soak: .venv/ready  ## the cluster under steady load: does anything grow? → bench/soak.json, docs/reliability.md (about 24 minutes)
	@$(BIN)/python -m tests.soak

image-try: .venv/ready  ## docker-compose.yml in a real container engine: built, started, looked into, rotated, backed up, restored (docs/supply-chain.md)
	@$(BIN)/python -m tests.image

migration: .venv/ready  ## make migration SERVICE=funds MESSAGE="what changes" (or SERVICE=kit)
	@$(BIN)/python -c 'from shared import migrate; migrate.new_revision("$(SERVICE)", "$(MESSAGE)")'

lock:  ## the locks from pyproject.toml (needs uv): uv's own, pip's, and the image's, which holds nothing for developing
	uv lock -q
	uv export -q --all-groups --no-emit-project --format requirements-txt -o requirements.lock
	uv export -q --no-dev --no-emit-project --format requirements-txt -o deploy/requirements.lock

clean:  ## away with the environment, the demo's home and the tools' caches
	rm -rf .venv .daohu .mypy_cache .pytest_cache .ruff_cache
