# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How a program reads digits: a walkthrough
#
# This is for learners. It follows one question from the pixels to a model that other programs use: *how well can a
# program read handwritten digits, and how do we know?* Each picture and number is produced by the code above it. It
# takes a minute or two, on a small set of digits that comes with the project. Kaggle's 70,000 digits work the same
# way: the last section has the call.
#
# To run it yourself, install the project first. In the repository's folder: `pip install -e '.[train]'`.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch

plt.rcParams["figure.dpi"] = 80


def show(images, titles=None, columns=10):
    """Draw images side by side, in as many rows as needed."""
    rows = math.ceil(len(images) / columns)
    _, axes = plt.subplots(rows, columns, figsize=(columns * 0.95, rows * (1.25 if titles else 1.0)), squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.axis("off")
        if index < len(images):
            axis.imshow(images[index], cmap="gray")
            axis.set_title(titles[index] if titles else "", fontsize=9)
    plt.tight_layout()


# %% [markdown]
# ## The data
#
# Each digit here is an image of 28 × 28 numbers, from 0 (background) to 255 (ink), with a label from 0 to 9. We have
# digits to train on, and others to test on, which we keep apart.

# %%
from tenfold.sources import sample

train, test = sample.load()
print(f"{len(train):,} digits to train on, {len(test)} to test on, {train.images.dtype} {train.images.shape[1:]}")
first_of = [int(np.flatnonzero(train.labels == digit)[0]) for digit in range(10)]  # the first image of each digit
show(train.images[first_of], [str(digit) for digit in range(10)])

# %% [markdown]
# ## Why leaks happen
#
# Students who have seen an exam's questions and answers do well in that exam, and their score means nothing. The same
# happens to programs, by accident. This is a *leak*: test data gets into the training. Kaggle's digit-recognizer
# competition gives out 42,000 digits with labels and 28,000 without. All 70,000 *are* MNIST, a public dataset with
# all its labels, in another order. Anyone who adds MNIST to the training set, because more data is better, has added
# the exam.
#
# Let us do exactly that, with a very simple *classifier*, a program that gives a digit its label. It finds the most
# similar digit that it has seen, and answers with that digit's label.

# %%
from sklearn.neighbors import KNeighborsClassifier

from tenfold.data.digits import joined


def accuracy(seen):
    """Share of the test digits that have the same label as the most similar digit in `seen`."""
    seen_pixels, test_pixels = (part.images.reshape(len(part), -1).astype(float) for part in (seen, test))
    return KNeighborsClassifier(n_neighbors=1).fit(seen_pixels, seen.labels).score(test_pixels, test.labels)


everything = joined(train, test)  # "the whole dataset" with its labels, as found on the internet
print(f"honest: {accuracy(train):.4f}   with the whole dataset added: {accuracy(joined(train, everything)):.4f}")

# %% [markdown]
# The score is perfect, but the program has learnt nothing new. So this pipeline puts a guard between the files and
# everything that learns. It compares images by their bytes. It removes every image that is in the test set, and every
# repeated one:

# %%
from tenfold.data import overlap

honest, overlap_record = overlap.guard(train, everything, test.without_labels(), "honest")
print(overlap_record.sentence())
print(f"honest again: {accuracy(honest):.4f}")

# %% [markdown]
# ## What a fold is
#
# The test digits are for the very end. To know how well we are doing before that, and to choose between two ideas, we
# need digits that the classifier was not trained on. *k-fold cross-validation* takes them from the training set, and
# still uses every digit for training. Cut the set into k parts, the folds. Leave one out, train on the rest, predict
# the one left out. Do this k times. In the end, every digit has been predicted once by a classifier that had not seen
# it. These are the *out-of-fold* predictions. Use their score to choose.
#
# Every digit is spread evenly over the folds:

# %%
from tenfold.data import folds

fold_of = folds.stratified(train, k=3, seed=0)
print("digit  " + "".join(f"{digit:5}" for digit in range(10)))
for fold in range(3):
    print(f"fold {fold} " + "".join(f"{n:5}" for n in np.bincount(train.labels[fold_of == fold], minlength=10)))

# %% [markdown]
# ## What a convolution is
#
# Nine numbers, called a *kernel*, slide over the image. At each position they are multiplied with the nine pixels
# below, and summed. The result is an image again. It is bright where the image looks like the kernel. These four
# kernels are written by hand and detect edges:

# %%
edges = torch.tensor(
    [
        [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
        [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
        [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
        [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    ]
).float()
seven = torch.from_numpy(train.images[first_of[7]]).float() / 255
seven = seven[None, None]  # shape (1, 1, 28, 28): images, channels, height, width
maps = torch.nn.functional.conv2d(seven, edges[:, None], padding=1)[0].relu()  # relu: negative numbers become 0
show([seven[0, 0], *maps], ["the image", "lower edges", "upper edges", "right edges", "left edges"], columns=5)

# %% [markdown]
# A *net* is a chain of layers; the numbers in it are its *weights*. In a convolutional net, each layer has many
# kernels, and looks at the output of the layer before. Nobody writes these kernels by hand: they start as random
# numbers, and are learnt. A kernel is the same at every position, so a seven that moves is still a seven. A *dense*
# net, without kernels, has separate weights for every pixel, and must learn a seven anew at each position.
#
# ## What an epoch is
#
# The net predicts a *batch*, here 128 digits at once. A *loss* measures how wrong the predictions are. Then each
# weight changes a little, in the direction that would have made the loss smaller. A pass through all digits is an
# *epoch*. After each epoch, the net predicts digits that it does not learn from, to see how well it does.
#
# ## More digits from the same digits
#
# A digit that is rotated or moved a little is a new picture of the same digit. So every batch is *warped*: each digit
# is rotated, sheared, resized and moved by random amounts. No two epochs show the same pictures. Here is one seven,
# ten times:

# %%
from tenfold.data.warp import warped
from tenfold.settings import Warp

rng = torch.Generator().manual_seed(0)  # random number generator
ten_sevens = seven.expand(10, -1, -1, -1)  # the same image ten times
show(warped(ten_sevens, Warp(), rng)[:, 0])

# %% [markdown]
# How much is too much? A six rotated by 180° is a nine. A net that is trained on rotated sixes with the label 6 gets
# worse at both digits. The [studies](studies/README.md) have the numbers.
#
# ## Training
#
# One call trains a net for each fold, on the digits outside it, and predicts the fold. We make it twice, without warps
# and with them, for ten epochs each. The nets are small, so that this is quick: three layers with 16, 32 and 48
# kernels. The call also scores the digits that are for the very end, so we don't print what it says yet.

# %%
import contextlib
import io

import tenfold

small = {"channels": [16, 32, 48]}
common = {
    "source": "sample",
    "folds": 3,
    "net": small,
    "fit": {"epochs": 10},
    "light": small | {"epochs": 10},
    "cgan": {"share": 0, "least_variety": 0},  # no generated digits among those to train on; more about them below
    "fresh": True,
}
no_warp = {"rotation_deg": 0, "shear_deg": 0, "scale": 0, "shift_px": 0}
with contextlib.redirect_stdout(io.StringIO()):
    plain = tenfold.train(**common, warp=no_warp, generator={"epochs": 1}, out="runs/walkthrough-plain")
    run = tenfold.train(**common, generator={"epochs": 16}, out="runs/walkthrough")

_, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6))
for name, history in (("without warps", plain.history), ("with warps", run.history)):
    folds_alone = history[history.training.str.startswith("fold")]
    mean = folds_alone.groupby("epoch")[["loss", "validation_accuracy"]].mean()
    left.plot(mean.index, mean.loss, "o-", markersize=3, label=name)
    right.plot(mean.index, 100 * (1 - mean.validation_accuracy), "o-", markersize=3, label=name)
left.set(xlabel="epoch", ylabel="training loss")
right.set(xlabel="epoch", ylabel="error on the fold left out, %", yscale="log")
right.legend(fontsize=8)
plt.tight_layout()

# %% [markdown]
# Without warps, the loss is lower: the same pictures come again and again, and the net learns details of *these*
# digits rather than what digits look like. What counts is the error on digits that it did not learn from.
#
# ## How good is it?
#
# Now every digit has a prediction from a net that never saw it, and we can choose:

# %%
for name, choice in (("without warps", plain), ("with warps", run)):
    score = choice.cross_validation
    print(f"{name}: out of fold {score.mean:.4f}, standard deviation over folds {score.std:.4f}, {score.errors} errors")
print(f"on {score.rows:,} digits; the folds with warps: {', '.join(f'{fold:.4f}' for fold in score.folds)}")

# %% [markdown]
# The standard deviation matters. If a change moves the score by less, it may be chance. To find out, compare the two
# versions on the same digits, see which ones each gets wrong, and repeat with several *seeds*, the starting numbers
# of the random generator.
#
# The remaining errors teach more than the score. Above each digit: its label, the prediction, and the probability of
# that prediction:

# %%
predicted = np.load(run.folder / "oof.npz")  # out of fold, one row per training digit
probs, labels = predicted["probabilities"], predicted["labels"]
confidence = probs.max(1)
wrong = np.flatnonzero(probs.argmax(1) != labels)
wrong = wrong[np.argsort(-confidence[wrong])][:10]
titles = [f"{labels[i]}, not {probs[i].argmax()}\n{100 * confidence[i]:.0f} %" for i in wrong]
show(train.images[wrong], titles)

# %% [markdown]
# ## What a GAN is
#
# A GAN has two nets. The *generator* makes an image from random numbers (*noise*). The *discriminator* says whether
# an image is a real digit or a generated one. They are trained against each other: the discriminator to tell the two
# apart, the generator to make that impossible. In a *conditional* GAN both are told which digit it should be, so we
# can ask for one. The run has trained one as well. Here are its digits after 2, 6 and 16 epochs, one row per digit,
# always from the same noise:

# %%
from PIL import Image

_, axes = plt.subplots(1, 3, figsize=(9, 3.1))
for axis, epoch in zip(axes, (2, 6, 16), strict=True):
    axis.imshow(Image.open(run.folder / "generator" / "grids" / f"epoch-{epoch:03d}.png"), cmap="gray")
    axis.set_title(f"after {epoch} epochs", fontsize=9)
    axis.axis("off")
plt.tight_layout()

# %% [markdown]
# Do such digits help a classifier? They contain nothing that was not in the generator's training digits, and show
# less variety. The [study on little data](studies/low-data.md) measures the answer. A leak can happen here too: if a
# generator has seen a fold, the net that predicts this fold must not train on its digits. By default, every fold has
# its own generator.
#
# ## A model for other programs
#
# A net in Python needs torch, which takes hundreds of megabytes or more. An ONNX file contains the weights and the
# computation, and runs wherever there is an ONNX runtime: the bytes of an image go in, a label and probabilities come
# out. The nets of all folds together, an *ensemble*, are one such file. Its probabilities are the mean of theirs.

# %%
from tenfold_onnx import Classifier

model = run.folder / "classifier.onnx"
answer = Classifier(model).predict(test.images[:10])
print(f"a file of {model.stat().st_size / 1e6:.1f} MB predicts {answer.label.tolist()}")
print(f"            the labels are {test.labels[:10].tolist()}")

# %% [markdown]
# ## The score
#
# Finally, once, at the very end: this ensemble on the test digits.

# %%
verdict = run.metrics.judge
print(f"test: {run.score:.4f}, {verdict.errors} errors on {verdict.rows:,} digits")
print(f"further digits of this kind: probably from {verdict.low:.4f} to {verdict.high:.4f}")

# %% [markdown]
# The second line, a 95 % confidence interval, says how much the first one means: with few test digits, luck decides a
# lot. The competition tests on 28,000. With its files in the folder `data`, the same call makes a submission:
#
# ```python
# run = tenfold.train(source="kaggle", data="data")
# run.submission  # what you upload
# run.score  # what to expect, since MNIST has the labels of the test digits
# ```
#
# **[From a new Kaggle account to a score](kaggle.md)** has every step.

# %% [markdown]
# ## Where to go from here
#
# - `run.report()` shows the whole run as a page, and `tenfold run` does the same in a terminal. See the
#   [README](../README.md).
# - `tenfold app` opens a page to draw on, and shows the net's layers beside your digit.
# - The [studies](studies/README.md) test claims found in public projects, about optimisers, nets and generated
#   digits. Repeat one, change a line, and see whether you believe it.
# - [benchmarks/CHOICES.md](../benchmarks/CHOICES.md) has the evidence behind every default, and what did not help.
# - To read: Y. LeCun and others, *Gradient-based learning applied to document recognition* (1998), the source of
#   MNIST; I. Goodfellow and others, *Generative adversarial nets* (2014); C. Deotte, *25 million images!* on Kaggle,
#   the best honest solution published; Stanford's course notes [CS231n](https://cs231n.github.io).
