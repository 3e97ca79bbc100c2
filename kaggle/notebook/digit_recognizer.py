# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Digit Recognizer with tenfold
#
# From the competition's files to `submission.csv`, with cross-validation, a report, a digit generator and ONNX models.
#
# **On Kaggle**
#
# 1. On your machine, in a checkout of tenfold: `tenfold kernel build --owner your-name`, then upload the folder
#    `kernel-build/wheels` as a private data set (kaggle.com/datasets, *New Dataset*).
# 2. At kaggle.com/code: *New Notebook*, then *File*, *Import Notebook*, and give it this file.
# 3. *Add Input*: the competition *Digit Recognizer*, and your data set of wheels. A GPU helps, internet is not needed.
#    With internet, MNIST's labels give a score on all test rows, too.
# 4. *Run All*. Then submit `submission.csv` from the notebook's output.
#
# **On Colab**
#
# 1. Make the wheel: `pip wheel --no-deps --wheel-dir dist .` in a checkout of tenfold.
# 2. At colab.research.google.com: *File*, *Upload notebook*, and give it this file.
# 3. Put the wheel and the competition's `digit-recognizer.zip` into the folder of *Files*, then *Run all*.
#
# On your own machine, start it in a folder with the competition's files, where `tenfold[train]` is installed.

# %%
PRESET = "fast"  # "best" scores higher and takes longer: choose it with a GPU

# %% [markdown]
# ## Install

# %%
import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

INPUT = Path(os.environ.get("TENFOLD_KERNEL_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("TENFOLD_KERNEL_WORKING", "/kaggle/working"))
if not INPUT.is_dir():  # not on Kaggle: everything lies in this folder
    INPUT = WORKING = Path()


class Missing(Exception):
    """Shown as its sentence alone."""

    def _render_traceback_(self):
        return [str(self)]


wheels = sorted(INPUT.rglob("tenfold-*.whl"))
settings = {}
if wheels:
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    beside = ["--no-index", "--find-links", str(wheels[0].parent)]  # what the wheel needs lies beside it on Kaggle
    if subprocess.run([*pip, *beside, "tenfold[train]"], capture_output=True).returncode:
        subprocess.run([*pip, f"{wheels[0]}[train]"])  # from the internet
    if (wheels[0].parent / "settings.toml").is_file():  # of `tenfold kernel build --config`
        settings = tomllib.loads((wheels[0].parent / "settings.toml").read_text("utf-8"))
        settings.pop("data", None)
importlib.invalidate_caches()
if importlib.util.find_spec("tenfold") is None:
    raise Missing(
        f"tenfold is not installed, and {INPUT.absolute()} has no wheel that could be: attach the folder "
        "kernel-build/wheels that `tenfold kernel build` writes, as a data set (the first cell says how)"
    )

# %% [markdown]
# ## Train
#
# Interrupt it and run the cell again, and it continues. With MNIST at hand, it prints the offline test score: the
# accuracy on all 28,000 test rows, whose labels are looked up after training and used for nothing else.

# %%
import tenfold

found = [*INPUT.rglob("test.csv"), *INPUT.rglob("digit-recognizer.zip")]
folders = [path.parent for path in found if path.suffix == ".zip" or (path.parent / "train.csv").is_file()]
if not folders:
    raise Missing(f"{INPUT.absolute()} has no train.csv and test.csv: attach the competition Digit Recognizer as input")
data = min(folders, key=lambda folder: "digit-recognizer" not in str(folder))
run = tenfold.train(source="kaggle", data=data, preset=PRESET, out=WORKING / "run", **settings)
run

# %% [markdown]
# ## The submission

# %%
submission = run.submission
submission.to_csv(WORKING / "submission.csv", index=False)
submission.head()

# %% [markdown]
# ## Digits that the generator draws

# %%
from IPython.display import Image

from tenfold_onnx.images import sheet_png

digits = list(range(10))
Image(sheet_png(run.generate(digits * 4, seed=1), columns=len(digits)), width=600)

# %% [markdown]
# ## The report

# %%
run.report()

# %% [markdown]
# The models are in the folder `run`: `classifier.onnx` reads digits without torch, `generator.onnx` draws them.
# `run.predict(images)` and `run.generate([2, 0, 2, 6])` do so here.
