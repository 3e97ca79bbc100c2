# make run        files in data/ (or the built-in sample) to a submission and models
# make test       the tests for people: minutes.  make test-slow: the long ones.  make lint: style and types
# make walkthrough    docs/walkthrough.py, executed, as a notebook and as a page
# make models     the models that come with the package, trained again on Kaggle's files in data/
# make notebook       kaggle/notebook/digit_recognizer.py as the notebook to import at Kaggle
#
# PYTHON picks the interpreter, ARGS goes to `tenfold run`, PIP_ARGS to pip. TENFOLD_DATA names a folder with the
# real files; without it, tests that need them are skipped.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Without an NVIDIA GPU, PyTorch's CPU build: 4 GB less. PIP_ARGS= takes the default index alone.
CPU_INDEX := https://download.pytorch.org/whl/cpu
PIP_ARGS ?= $(shell command -v nvidia-smi > /dev/null || ! curl -sfI --max-time 5 $(CPU_INDEX)/ > /dev/null || \
	echo --extra-index-url $(CPU_INDEX))

BIN := $(VENV)/bin

.PHONY: run test test-slow lint walkthrough notebook models install clean

run: $(VENV)/run
	$(BIN)/tenfold run $(ARGS)

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: install
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

walkthrough: install
	$(BIN)/jupytext --to ipynb --execute docs/walkthrough.py
	rm -rf docs/walkthrough_files
	$(BIN)/jupyter nbconvert --to markdown docs/walkthrough.ipynb

notebook: install
	$(BIN)/jupytext --to ipynb kaggle/notebook/digit_recognizer.py

models: $(VENV)/run
	$(BIN)/tenfold run --preset fast --source kaggle --generator.epochs 40 --out runs/models $(ARGS)
	$(BIN)/tenfold export runs/models --half --out export/tenfold_onnx/models
	rm export/tenfold_onnx/models/classifier.onnx  # five nets: more than a package needs

install: $(VENV)/dev

$(VENV)/run: EXTRAS := train,app,kaggle
$(VENV)/dev: EXTRAS := dev

# The stamp is written last, so an interrupted installation is repeated; pip skips what is there.
# torch and torchvision must come from one build. pip does not check this; importing them does.
$(VENV)/run $(VENV)/dev: pyproject.toml
	@echo "installing into $(VENV), which takes minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[$(EXTRAS)]'
	$(BIN)/python -c 'import torch, torchvision'
	touch $@ $(VENV)/run  # dev includes what a run needs

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
