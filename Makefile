# crackgate: verbs for people. `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
# A uv on the PATH serves; otherwise one is installed into .tools/.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
# Jenkins has a variable of that name in the environment, and `make clean` removes the folder.
WORKSPACE := workspace
SAMPLE_DATA := $(WORKSPACE)/sample-data
IMAGE ?= crackgate:latest
EXTRAS ?= kubeflow
# Its warning is of the end of its maker's support in 2027.
MKDOCS := NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet
PYTEST := TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install run test test-unit test-flink flink-up flink-down test-serving test-kubeflow image pin-images test-image \
	check-manifests docs lint format benchmark-copies benchmark-ingest benchmark-evaluation benchmark-scale \
	benchmark-train benchmark-surfaces benchmark-hidden benchmark-unfamiliar benchmark-serve benchmark-inspect report-schema \
	sbom audit clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Set up the environment from the lock, once

run: install $(SAMPLE_DATA) ## From synthetic photographs to a released model
	$(BIN)/crackgate run --data $(SAMPLE_DATA) --workspace $(WORKSPACE)

test: install ## Run every test that a bare machine can, in two processes
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-unit: install ## Run the quick tests
	$(PYTEST) tests/unit

test-flink: install ## Run the pipeline on a Flink cluster that the tests start (Java, Maven), faults included
	$(PYTEST) -m flink

flink-up: install ## Start a Flink cluster on this machine, for beam.profile=flink; says how to use it
	PYTHONPATH=. $(BIN)/python -m tools.flink_cluster up

flink-down: install ## Stop it
	PYTHONPATH=. $(BIN)/python -m tools.flink_cluster down

test-serving: install ## Run the tests with models that crash, hang, are slow, or go through a model server
	$(PYTEST) -m serving

test-kubeflow: install ## The compiled pipeline with kfp.local, and tasks on MariaDB (apt-get install mariadb-server)
	$(PYTEST) -m kubeflow

image: ## Build the container image, as IMAGE; EXTRAS="kubeflow gpu" adds CUDA
	kubeflow/image/build.sh $(IMAGE) --build-arg EXTRAS="$(EXTRAS)" $(IMAGE_OPTIONS)

pin-images: install .tools/crane/crane ## Name the images of others by digest, as their registries have them now (go)
	PATH=$(CURDIR)/.tools/crane:$$PATH PYTHONPATH=. $(BIN)/python -m tools.image_digests

test-image: install ## Build the image on a base made from Debian's packages, and run it locked down (root, podman, runc)
	$(PYTEST) -m image tests/end_to_end/test_image.py

check-manifests: install ## Check the Kubernetes manifests with kustomize and the API server's schemas (go)
	$(PYTEST) -m manifests tests/integration/kubeflow/test_manifest_schemas.py

lint: install ## Check style, formatting, the floors' imports, types and the documentation's links
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MKDOCS)

docs: install ## Build the documentation as a site: build/site/index.html
	$(MKDOCS)

format: install ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark-copies: install ## Which copies are found, and at what cost, on real photographs
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.copies

benchmark-ingest: install ## Images per second and memory of ingest against a plain loop, on real photographs
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.ingest

benchmark-evaluation: install ## Seconds and memory of the gate's evaluation, on real photographs
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.evaluation

benchmark-scale: install ## Time and memory of the Beam steps by images and workers; writes docs/scale.md (OPTIONS: see the script)
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.scale $(OPTIONS)

benchmark-train: install ## Time and accuracy of training against the plain Keras recipe, on real photographs
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.training

benchmark-surfaces: install ## How well a model trained on concrete ranks cracks on other surfaces and cameras
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.surfaces

benchmark-hidden: install ## Share of cracks that the augmentation hides from MODEL=workspace/serving/<version>
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.hidden_cracks --model $(MODEL)

benchmark-unfamiliar: install ## How MODEL=... tells the photographs in OTHERS="..." from UNSEEN=..., like those of training
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.unfamiliar_images --model $(MODEL) --photographs $(UNSEEN) --others $(OTHERS)

benchmark-serve: install ## Images per second and latency of a release, and of crackgate serve, against plain Keras
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.serving

benchmark-inspect: install ## Seconds per 12-megapixel photograph, of MODEL=workspace/serving/<version>
	PYTHONPATH=. $(BIN)/python -m tools.benchmarks.inspection --model $(MODEL)

report-schema: install ## Write docs/report.schema.json after a change of the report
	PYTHONPATH=. $(BIN)/python -m crackgate.report.json_schema > docs/report.schema.json

sbom: install ## Write sbom.cdx.json (CycloneDX) and third-party-licences.txt of the environment to build/
	UV="$(UV)" kubeflow/image/write-sbom.sh $(VENV)/bin/python build

audit: install ## Look the locked packages up among known vulnerabilities; needs the service api.osv.dev
	@curl --silent --show-error --max-time 20 --output /dev/null https://api.osv.dev || \
		{ echo "audit: api.osv.dev, which knows the vulnerabilities, cannot be reached from here: nothing was checked"; exit 1; }
	mkdir -p build
	$(UV) export --frozen --quiet --no-dev --no-emit-project --all-extras --output-file build/requirements.txt
	$(UV) run --isolated --frozen --only-group audit pip-audit --vulnerability-service osv --disable-pip --require-hashes \
		--strict --requirement build/requirements.txt

clean: ## Remove the environment, caches and the workspace
	rm -rf $(VENV) .tools build $(WORKSPACE) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SAMPLE_DATA): | $(VENV)/.installed
	mkdir -p $(WORKSPACE)
	$(BIN)/crackgate sample-data $@

$(VENV)/.installed: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen
	touch $@

.tools/crane/crane:
	GOBIN=$(CURDIR)/.tools/crane go install github.com/google/go-containerregistry/cmd/crane@v0.20.3

.tools/uv/bin/uv:
	@echo "no uv on the PATH: installing one into .tools/"
	python3 -m venv .tools/uv || { rm -rf .tools/uv; echo "python3 cannot make virtual environments: install python3-venv, or uv"; exit 1; }
	.tools/uv/bin/python -m pip install --quiet 'uv>=0.8'
