# `make` alone lists the commands.

PYTHON ?=
ARGS ?=
INSTALLED := .venv/.installed
# Whoever forbids Python to keep compiled code has each of the many processes here compile it all anew.
export PYTHONDONTWRITEBYTECODE :=

# An environment that lost its Python or this checkout (either was moved or upgraded) is repaired.
FINDS_IBDESK := from importlib.util import find_spec; raise SystemExit(find_spec("ibdesk") is None)
ifneq ($(shell .venv/bin/python -c '$(FINDS_IBDESK)' 2>/dev/null && echo works),works)
.PHONY: $(INSTALLED)
endif

.PHONY: help
help: ## list the commands
	@echo "ibdesk: one strategy file, from a backtest to a paper account to a live book"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(INSTALLED) ## create .venv with everything (PYTHON=python3.12 picks another Python)
	@:

$(INSTALLED): pyproject.toml constraints.txt tests/gateway/clients/ib_insync.txt
	@.ci/setup packages $(PYTHON)
	@touch $@

.PHONY: tools
tools:
	@.ci/setup tools

.PHONY: demo
demo: setup ## backtest, paper account, API and dashboard at once (ARGS="--for 60" ends by itself)
	@.venv/bin/ibdesk demo $(ARGS)

.PHONY: test
test: setup tools ## run the tests (ARGS="-k gateway" picks some)
	@.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: quick
quick: setup ## run the tests that need no process, no browser and no patience
	@.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -q --hypothesis-profile=quick \
	    -m "not (process or browser or slow or proof)" $(ARGS)

.PHONY: proof
proof: setup tools ## prove the design's promises with hundreds of seeds (IBDESK_PROOF_SEEDS=1000 for more)
	@IBDESK_PROOF_SEEDS=$${IBDESK_PROOF_SEEDS:-300} IBDESK_FUZZ_SECONDS=$${IBDESK_FUZZ_SECONDS:-600} .venv/bin/python -m pytest -m proof -n auto -o faulthandler_timeout=1800 $(ARGS)

.PHONY: simulate
simulate: setup ## trade on virtual time while everything goes wrong (ARGS="--seeds 0:10000" for more)
	@.venv/bin/ibdesk simulate $(or $(ARGS),--seeds 0:250)

.PHONY: docs
docs: setup ## build the documentation into build/docs, warnings are errors
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "file://$(CURDIR)/build/docs/index.html"

.PHONY: pictures
pictures: setup tools ## take the pictures of docs/pictures from a run of the demo
	@.venv/bin/python -m tests.docs.pictures

.PHONY: tutorial
tutorial: setup ## type the tutorial into an empty environment and print the minutes to the first filled order
	@.venv/bin/python -m tests.docs.tutorial

.PHONY: check
check: setup ## lint, format, types and layers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest -q tests/test_layers.py

.PHONY: fix
fix: setup ## format the code and repair what the linter can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

.PHONY: controls
controls: setup ## write docs/risk-controls.md anew from its table
	@.venv/bin/python -c "from ibdesk.engine.risk_controls import as_markdown; print(as_markdown(), end='')" > docs/risk-controls.md

.PHONY: bench
bench: setup ## measure latency and throughput
	@.venv/bin/python -m tests.bench.run $(ARGS)

.PHONY: load
load: setup ## load feed and API with a thousand clients (ARGS="--clients 200" for the feed alone)
	@.venv/bin/python -m tests.load.feed $(ARGS)
	@$(if $(ARGS),,.venv/bin/python -m tests.load.rest)
	@$(if $(ARGS),,.venv/bin/python -m tests.bench.run web)

.PHONY: soak
soak: setup ## load the feed for half an hour and watch its memory (ARGS="--minutes 5" for less)
	@.venv/bin/python -m tests.load.feed $(or $(ARGS),--minutes 30)

.PHONY: constraints
constraints: setup ## pin the newest versions that fit into constraints.txt
	@{ echo "# Every version that was tested together, for Python 3.11 to 3.14. Rewritten by \`make constraints\`."; \
	   $$(command -v uv || echo .venv/bin/uv) pip compile pyproject.toml --universal --all-extras --python-version 3.11 \
	       --no-header --no-annotate --quiet; } > constraints.new
	@mv constraints.new constraints.txt

.PHONY: calendars
calendars: setup ## rewrite the table of trading days from exchange_calendars
	@.venv/bin/python -m ibdesk.data.calendars.tabulation

.PHONY: clean
clean: ## remove the environment, caches and build results
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find platform server strategies tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
