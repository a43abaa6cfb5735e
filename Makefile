# Each target does one thing and prints what it does. See README.md.
SHELL := /bin/sh
BIN := .venv/bin
PYTEST_ARGS ?=
FAULT_ARGS ?=

.PHONY: help demo test test-long check setup image test-setup unit lock bench evaluation fault check-dishonest check-detectors check-templates check-repairs check-attacks check-export check-deploy check-prism check-stories check-api-versions check-openapi check-real-model docs reference test-pods format clean

help:
	@echo "make demo    a labelled issue becomes a proven pull request, on this machine, from nothing"
	@echo "make test    checks and all tests"
	@echo "make test-long   tests that show at length what shorter ones show in part; minutes"
	@echo "make check   lint, types, import rules"
	@echo "make unit    only the tests that need no container engine"
	@echo "make bench   benchmarks, each with its floor"
	@echo "make fault   40 random kills over 20 runs, on both databases; about half an hour"
	@echo "make check-export    an export is read by datasets and trl (installs 330 MB beside the project, once)"
	@echo "make evaluation    repairs and proofs on 36 fixes of synthetic histories, killed once (an hour)"
	@echo "make check-repairs    the embedded model repairs every repository of its set; ten minutes"
	@echo "make check-dishonest    dishonest patches and honest twins of seven test runners (900 MB once, then hours)"
	@echo "make check-attacks    ten dishonest patches against the gate's evidence, each beside an honest one; minutes"
	@echo "make check-detectors    the stand-in's parsers beside SGLang's own (fetches 40 MB once)"
	@echo "make check-templates TEMPLATES=folder   300 turns as the models' own chat templates render them"
	@echo "make check-real-model    a real small model on llama.cpp's server (fetches 1.7 GB once); 15 minutes"
	@echo "make test-pods    all cases of the sandboxes' tests against the stand-in cluster; minutes"
	@echo "make docs    the documentation as a site in site/, which asks no other host for anything"
	@echo "make reference    regenerate the pages made from the program (settings, commands)"
	@echo "make check-prism        the App's calls to GitHub, validated by Prism too (fetches 25 MB once)"
	@echo "make check-stories      all stories of repositories, publication and ghosts, with a crash after every act; minutes"
	@echo "make check-api-versions    stories and calls in both versions of GitHub's REST API (fetches 3 MB once); half an hour"
	@echo "make check-openapi    Schemathesis over the service's OpenAPI description, 10,000 spoilt deliveries (fetches 40 MB once)"
	@echo "make check-deploy    composition, chart, alerts and board with their own programs (150 MB once)"
	@echo "make lock    update the lock files from pyproject.toml"
	@echo "make setup, make image    install what is missing; also start an engine and build the image"
	@echo "make format, make clean    fix style; remove the environment and caches"

setup:
	@deploy/bootstrap.sh packages venv

image: setup
	@deploy/bootstrap.sh engine
	@$(BIN)/patchwright images build

demo: image
	@$(BIN)/patchwright demo

test-setup: image
	@deploy/bootstrap.sh test-packages
	@$(BIN)/python -m tests.doubles.github.description.fetch
	@$(BIN)/python -m tests.e2e.axe

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check test-setup
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations 15 -m "not long" $(PYTEST_ARGS)

test-long: test-setup
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations 15 -m long $(PYTEST_ARGS)

unit: check
	$(BIN)/python -m pytest tests/unit -n 2 $(PYTEST_ARGS)

bench: image
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

fault: test-setup
	$(BIN)/python -m tests.fault $(FAULT_ARGS)

check-export: setup
	PATCHWRIGHT_CHECK_EXPORT=1 $(BIN)/python -m pytest tests/integration/app/export/test_datasets.py \
	  $(PYTEST_ARGS)

evaluation: image
	$(BIN)/python bench/evaluation.py $(EVALUATION_ARGS)

check-repairs: image
	PATCHWRIGHT_CHECK_REPAIRS=1 $(BIN)/python -m pytest -n 2 \
	  tests/integration/agent/models/offline/test_repairs.py $(PYTEST_ARGS)

check-dishonest: image
	PATCHWRIGHT_CHECK_DISHONEST=1 $(BIN)/python -m pytest -rsP tests/integration/agent/gate/test_dishonest.py \
	  $(PYTEST_ARGS)
check-attacks: image
	PATCHWRIGHT_CHECK_ATTACKS=1 $(BIN)/python -m pytest -n 2 \
	  tests/integration/agent/gate/test_evidence_attacks.py $(PYTEST_ARGS)

check-detectors: setup
	PATCHWRIGHT_CHECK_DETECTORS=1 PATCHWRIGHT_CHECK_VLLM=$(VLLM) $(BIN)/python -m pytest -rs tests/integration/agent/models/test_detectors.py \
	  tests/integration/doubles/test_sglang_packages.py $(PYTEST_ARGS)

check-templates: setup
	PATCHWRIGHT_CHECK_TEMPLATES=$(TEMPLATES) $(BIN)/python -m pytest -rs -n 0 \
	  tests/integration/agent/models/test_templates.py $(PYTEST_ARGS)

check-real-model: image
	$(BIN)/python -m tests.real_model $(REAL_MODEL_ARGS)

test-pods: image
	$(BIN)/python -m pytest tests/integration/sandbox/test_conformance.py \
	  tests/integration/sandbox/test_trees.py -k kubernetes $(PYTEST_ARGS)

reference: setup
	$(BIN)/python docs/made_pages.py

docs: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-docs.lock
	$(BIN)/python docs/made_pages.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean
	$(BIN)/python docs/check_site.py site

check-prism: test-setup
	$(BIN)/python -m tests.e2e.check_prism

check-stories: setup
	$(BIN)/python -m tests.doubles.github.description.fetch
	PATCHWRIGHT_CHECK_STORIES=1 $(BIN)/python -m pytest -n 2 tests/stories \
	  tests/integration/app/runs/publication/test_step.py $(PYTEST_ARGS)

check-openapi: test-setup
	$(BIN)/python -m tests.e2e.check_openapi $(OPENAPI_EXAMPLES)
	PATCHWRIGHT_CHECK_PAYLOADS=10000 $(BIN)/python -m pytest \
	  tests/integration/app/github/test_webhook_examples.py $(PYTEST_ARGS)

check-api-versions: test-setup
	$(BIN)/python -m tests.doubles.github.description.schemas
	$(BIN)/python -m pytest tests/integration/doubles/test_api_versions.py
	for version in 2022-11-28 2026-03-10; do \
	  PATCHWRIGHT_CHECK_API_VERSION=$$version $(BIN)/python -m pytest -n 3 --dist worksteal \
	    -m "not long" tests/stories tests/e2e tests/integration/app/github \
	    tests/integration/app/runs $(PYTEST_ARGS) || exit 1; done

check-deploy: image
	$(BIN)/python -m pytest -rs tests/deploy $(PYTEST_ARGS)

lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --extra dev \
	  --extra kubernetes --extra postgres --extra tools --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --group docs \
	  --constraint requirements.lock --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links -o requirements-docs.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --extra kubernetes \
	  --extra postgres --extra tools --constraint requirements.lock --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links pyproject.toml -o deploy/requirements.lock
	echo 'hatchling>=1.25' | $(BIN)/uv pip compile --quiet --python-version 3.11 --universal \
	  --generate-hashes --constraint requirements.lock --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links - -o deploy/requirements-build.lock

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
