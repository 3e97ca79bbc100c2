# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A walk through ten digits
#
# This is for people who learn. It follows one question, *how well can a program read handwritten digits, and how would
# we know?*, from the pixels to a model that other programs use. Everything shown is made by the code above it, in
# about a minute, on 1,797 small digits that come with scikit-learn; the competition's 70,000 go the same way.
#
# It needs `pip install 'tenfold[train]'`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

plt.rcParams["figure.dpi"] = 80


def show(images, titles=None, columns=10):
    """Pictures side by side, as many rows as they need."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(columns * 0.95, rows * (1.25 if titles else 1.0)), squeeze=False)
    for place, axis in enumerate(axes.flat):
        axis.axis("off")
        if place < len(images):
            axis.imshow(images[place], cmap="gray")
            axis.set_title(titles[place] if titles else "", fontsize=9)
    plt.tight_layout()


# %% [markdown]
# ## What the data is
#
# A digit is a square of 28 × 28 numbers from 0 (background) to 255 (ink), and a label from 0 to 9. Nothing else. We
# have some to learn from, and others that are kept apart to be tested on.

# %%
from tenfold.sources import sample

train, test = sample.load()
print(
    f"{len(train):,} digits to learn from, {len(test)} to be tested on, {train.images.dtype} {train.images.shape[1:]}"
)
first = [int(np.flatnonzero(train.labels == digit)[0]) for digit in range(10)]
show(train.images[first], [str(digit) for digit in range(10)])

# %% [markdown]
# ## Why leaks happen
#
# A program that has seen the questions of an exam with their answers does well in the exam, and nobody learns anything
# from that. It happens by accident: Kaggle's digit-recognizer competition hands out 42,000 digits with labels and
# 28,000 without, and all 70,000 *are* MNIST, a public dataset with all its labels, in another order. Whoever adds MNIST
# to the training set, because more data is better, has added the exam.
#
# Let us do just that, with the most forgetful reader that there is: it looks for the most similar digit it has seen,
# and says that one's label.

# %%
from sklearn.neighbors import KNeighborsClassifier

from tenfold.data.digits import joined


def right(seen):
    """Share of the test digits that the nearest digit seen has the label of."""
    flat = [part.images.reshape(len(part), -1).astype(float) for part in (seen, test)]
    return KNeighborsClassifier(1).fit(flat[0], seen.labels).score(flat[1], test.labels)


everything = joined(train, test)  # "the whole dataset", found somewhere else
print(f"honest: {right(train):.4f}   with the whole dataset joined: {right(joined(train, everything)):.4f}")

# %% [markdown]
# A perfect score, by a program that has learnt nothing new. So this pipeline has a guard between the files and
# whatever learns. It compares images by their bytes, and lets nothing through that is in the test set, nor anything
# twice:

# %%
from tenfold.data import overlap

kept, found = overlap.guard(train, everything, test.without_labels(), "honest")
print(found.sentence())
print(f"honest again: {right(kept):.4f}")

# %% [markdown]
# ## What a fold is
#
# The test digits are for the very end. To know how well we are doing before that, and to choose between two ideas, we
# need further digits that were not learnt from. *k-fold cross-validation* gets them from the training set without
# wasting any: cut it into k parts, the folds; leave one out, learn from the rest, answer the one left out; and do that
# k times. In the end every digit has been answered once by a net that had not seen it. Those are the *out-of-fold*
# answers, and their score is the one to choose by.
#
# Every fold has its share of each digit:

# %%
from tenfold.data import folds

fold_of = folds.stratified(train, k=3, seed=0)
print("digit  " + "".join(f"{digit:5}" for digit in range(10)))
for fold in range(3):
    print(f"fold {fold} " + "".join(f"{n:5}" for n in np.bincount(train.labels[fold_of == fold], minlength=10)))

# %% [markdown]
# ## What a convolution is
#
# Nine numbers, a *kernel*, are laid over every place of the image, multiplied with what lies below, and summed. The
# result is an image again: bright where the image looks like the kernel. These four look for edges, by hand:

# %%
edges = torch.tensor(
    [
        [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
        [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
        [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
        [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    ]
).float()
seven = torch.from_numpy(train.images[first[7]]).float()[None, None] / 255
maps = torch.nn.functional.conv2d(seven, edges[:, None], padding=1)[0].relu()
show([seven[0, 0], *maps], ["the image", "lower edges", "upper edges", "right edges", "left edges"], columns=5)

# %% [markdown]
# A convolutional net is several layers of that, each with many kernels, which look at what the layer before has found.
# Nobody writes the kernels down: they begin as noise, and are learnt. Because a kernel is the same at every place, a
# seven that moves is still a seven; a dense net, which has a number for every pixel, must learn it anew at each place.
#
# ## What an epoch is
#
# The net answers a batch of digits, a *loss* says how wrong it was, and each of its numbers is moved a little in the
# direction that would have made the loss smaller. Once through all digits is an *epoch*. Here are ten, on two of
# the folds, with the third to look at after each:

# %%
from tenfold.data.batches import Expansion
from tenfold.models.inference import for_inference, probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net, Settings, Warp
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier

compute = resolve(Compute(device="cpu", workers=1, threads=1), 1)
settings = Settings(net=Net((16, 32, 48)), fit=Fit(epochs=10), compute=compute)
device = prepare_process(settings.compute)


def learnt(fold, warp, records):
    """A net that has learnt from all folds but one; what happened after each epoch is put into `records`."""
    inside, outside = train.take(fold_of != fold), train.take(fold_of == fold)
    images, labels = torch.from_numpy(inside.images), torch.from_numpy(inside.labels)
    expansion = Expansion(images, labels, warp, settings.fit.batch_size, settings.fit.epoch_images)

    def validate(net):
        said = probabilities(net, outside.images, device).argmax(1)
        return {"validation_accuracy": float((said == outside.labels).mean())}

    net = fit_classifier(
        expansion, settings, SeedStream(0, fold), None, lambda record, _: records.append(record), validate
    )
    return for_inference(net, settings.net)


records = []
learnt(0, Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0), records)
_, (left, right_) = plt.subplots(1, 2, figsize=(8, 2.6))
epochs = [record["epoch"] for record in records]
left.plot(epochs, [record["loss"] for record in records], "o-", markersize=3)
left.set(xlabel="epoch", ylabel="loss on the digits learnt from")
right_.plot(epochs, [100 * (1 - record["validation_accuracy"]) for record in records], "o-", markersize=3)
right_.set(xlabel="epoch", ylabel="error on the fold left out, %")
plt.tight_layout()

# %% [markdown]
# Both fall at first. The error on the digits left out soon stops: what is still learnt from there on is *these* digits
# rather than digits.
#
# ## More digits from those there are
#
# A digit that is turned a little, or moved, is another picture of the same digit. So every batch is *warped*, each
# digit by other amounts every time, and no two epochs are alike. Here is one seven, ten times:

# %%
from tenfold.data.warp import warped

draws = torch.Generator().manual_seed(0)
show(warped(seven.expand(10, -1, -1, -1), Warp(), draws)[:, 0])

# %% [markdown]
# How much is too much? A six that is turned by 180° is a nine, and a net that is told otherwise gets worse at both.
# The [studies](studies/README.md) have numbers for that.
#
# ## How good is it, then?
#
# All three folds, with warps. Now every digit has an answer from a net that never saw it:

# %%
answers = np.zeros((len(train), 10), np.float32)
nets = [learnt(fold, Warp(), []) for fold in range(3)]
for fold, net in enumerate(nets):
    answers[fold_of == fold] = probabilities(net, train.images[fold_of == fold], device)
correct = answers.argmax(1) == train.labels
scores = [correct[fold_of == fold].mean() for fold in range(3)]
print("folds:", ", ".join(f"{score:.4f}" for score in scores))
print(f"out of fold: {correct.mean():.4f} ± {np.std(scores, ddof=1):.4f} from fold to fold, {(~correct).sum()} errors")

# %% [markdown]
# The ± matters. A change that moves the score by less than that may be chance; to tell, compare the two on the same
# digits, which ones each got wrong, and with several seeds.
#
# Looking at what is still wrong teaches more than the score does. The label, what the net said instead, and how sure
# it was:

# %%
sure = answers.max(1)
wrong = np.flatnonzero(~correct)
wrong = wrong[np.argsort(-sure[wrong])][:10]
show(train.images[wrong], [f"{train.labels[i]}, not {answers[i].argmax()}\n{100 * sure[i]:.0f} %" for i in wrong])

# %% [markdown]
# And, once, at the very end: the three nets together, an *ensemble*, on the digits kept apart.

# %%
together = np.mean([probabilities(net, test.images, device) for net in nets], axis=0)
print(f"test: {(together.argmax(1) == test.labels).sum()} of {len(test)} right")

# %% [markdown]
# Mind how little that says. Of 360 digits, a reader that gets one in a hundred wrong errs on three or four, and on none
# once in forty times. The competition tests on 28,000.

# %% [markdown]
# ## What a GAN is
#
# Two nets play. The *generator* makes an image from noise, the *discriminator* says whether an image is a real digit
# or a made one, and each learns from the other: one to tell them apart, one not to be told apart. In a *conditional*
# GAN both are told which digit it is to be, so that we can ask for one. A row a digit, the same noise all along, after
# 2, 6 and 16 epochs:

# %%
import io

from PIL import Image

from tenfold.settings import Cgan
from tenfold.training.fit_generator import fit_generator

playing = Settings(cgan=Cgan(epochs=16), compute=settings.compute)
images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
grids = []
fit_generator(images, labels, playing, SeedStream(0, 0), None, lambda record, state, grid: grids.append(grid))
_, axes = plt.subplots(1, 3, figsize=(9, 3.1))
for axis, epoch in zip(axes, (2, 6, 16), strict=True):
    axis.imshow(Image.open(io.BytesIO(grids[epoch - 1])), cmap="gray")
    axis.set_title(f"after {epoch} epochs", fontsize=9)
    axis.axis("off")
plt.tight_layout()

# %% [markdown]
# Do such digits help a net that reads? They hold nothing that was not in the digits the generator learnt from, and
# less of it. [Where real digits are few](studies/low-data.md) the answer is measured. And mind the leak: a generator
# that has seen a fold's digits must not draw for the net that this fold is to test. Here every fold has its own.
#
# ## A model for other programs
#
# A net in Python needs torch, hundreds of megabytes of it. Written as ONNX, a file of its weights and of what is done
# with them, it runs anywhere there is an ONNX runtime: bytes of an image in, label and probabilities out.

# %%
import tempfile
from pathlib import Path

from tenfold_onnx.runtime import Classifier
from tenfold_onnx.write.export import export_classifier

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "classifier.onnx"
    file.write_bytes(export_classifier(nets, temperature=1.0))
    said = Classifier(file).predict(test.images[:10])
    print(f"a file of {file.stat().st_size / 1e6:.1f} MB says {said.label.tolist()}")
print(f"       the labels are {test.labels[:10].tolist()}")

# %% [markdown]
# ## Where to go on
#
# - `tenfold run` does all of this at once, on the competition's files if they are there, and writes a submission, a
#   report to look at, and the models: the [README](../README.md) says how.
# - `tenfold app` opens a page to draw on, with the net's layers beside your digit.
# - The [studies](studies/README.md) take up claims that circulate, on optimisers, on the shape of nets, on generated
#   digits. Run one again, change a line, see whether you believe it.
# - [benchmarks/CHOICES.md](../benchmarks/CHOICES.md) has the evidence behind every default, and what was in vain.
# - To read: Y. LeCun and others, *Gradient-based learning applied to document recognition* (1998), where MNIST comes
#   from; I. Goodfellow and others, *Generative adversarial nets* (2014); C. Deotte's *25 million images!* on Kaggle,
#   the best honest solution published; Stanford's notes [CS231n](https://cs231n.github.io), on all of it.
