"""What a run is asked to do: one small frozen dataclass a concern. Imports no torch.

Every field is an option of `tenfold run` and a key of settings.toml. `tenfold.sources` and `tenfold.compute`
settle what is "auto" (or 0) before anything is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_type_hints

from cyclopts import Parameter

from tenfold.errors import BadInput

Source = Literal["auto", "kaggle", "mnist", "sample"]
OverlapPolicy = Literal["honest", "allow"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]
Loss = Literal["non-saturating", "least-squares", "hinge"]
Condition = Literal["projection", "planes"]
Collapsed = Literal["stop", "leave-out"]
Part = TypeVar("Part")

CAS_EPOCHS: Final = 5  # of a net that learns from generated digits alone
MOST: Final = 2**20  # digits a batch: beyond this a number is a slip of the finger


def _require(ok: bool, name: str, value: object, rule: str) -> None:
    if not ok:
        raise BadInput(f"{name}: is {value} where {rule} belongs")


def _require_finite(part: object, prefix: str) -> None:
    for entry in fields(part):  # type: ignore[arg-type]
        value = getattr(part, entry.name)
        if isinstance(value, float):
            _require(math.isfinite(value), f"{prefix}.{entry.name}", value, "a finite number")


def _require_channels(channels: tuple[int, ...], name: str) -> None:
    ok = len(channels) >= 2 and all(1 <= c <= 1024 for c in channels)
    _require(ok, name, " ".join(map(str, channels)) or "empty", "two or more numbers from 1 to 1024")


@Parameter(name="*")  # on the command line --source rather than --data.source
@dataclass(frozen=True)
class Data:
    """Where the digits come from."""

    source: Source = "auto"
    """Kaggle's files with MNIST alongside, MNIST, or scikit-learn's built-in sample; auto takes the best there is."""
    data: Path = Path("data")
    """Folder with digit-recognizer.zip (or its CSVs) and MNIST/raw; or the zip itself."""
    overlap: OverlapPolicy = "honest"
    """honest: train on nothing that occurs in the test set. allow: train on everything, and be marked as leaked."""


@dataclass(frozen=True)
class Warp:
    """Random geometric augmentation, drawn anew for every digit of every batch."""

    rotation_deg: float = 12.0
    """Largest rotation either way, degrees."""
    shear_deg: float = 8.0
    """Largest horizontal shear either way, degrees."""
    scale: float = 0.12
    """Largest change of size either way, as a share; height and width are drawn apart."""
    shift_px: float = 2.0
    """Largest shift either way along each axis, pixels."""
    elastic_px: float = 0.0
    """Standard deviation of the smooth random displacement, pixels; 0 turns it off."""

    def __post_init__(self) -> None:
        _require_finite(self, "warp")
        _require(0 <= self.rotation_deg <= 180, "warp.rotation-deg", self.rotation_deg, "an angle from 0 to 180")
        _require(0 <= self.shear_deg < 60, "warp.shear-deg", self.shear_deg, "an angle from 0 to below 60")
        _require(0 <= self.scale < 0.9, "warp.scale", self.scale, "a share from 0 to below 0.9")
        _require(0 <= self.shift_px <= 14, "warp.shift-px", self.shift_px, "a number of pixels from 0 to 14")
        _require(0 <= self.elastic_px <= 5, "warp.elastic-px", self.elastic_px, "a number of pixels from 0 to 5")


@dataclass(frozen=True)
class Net:
    """The classifier: a 5x5 convolution with stride 2, then 3x3 convolutions, then the maximum over the map."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    """Channels of each convolution; the map is halved from 14x14 to 7x7 midway."""
    tta_shift_px: int = 1
    """Test-time augmentation: the answer is the mean over the image and its shifts by so many pixels; 0 for none."""

    def __post_init__(self) -> None:
        _require_channels(self.channels, "net.channels")
        _require(0 <= self.tta_shift_px <= 14, "net.tta-shift-px", self.tta_shift_px, "a whole number from 0 to 14")


@dataclass(frozen=True)
class Fit:
    """How the classifier is trained: Muon and AdamW, linear warm-up then decay to zero, EMA of the weights."""

    epochs: int = 12
    """Passes over the training part."""
    epoch_images: int = 2048
    """An epoch shows at least this many real digits; a smaller training part is gone through several times."""
    batch_size: int = 128
    """Digits a step, generated ones included."""
    kernel_lr: float = 0.04
    """Peak learning rate of Muon, which moves the convolutions' kernels."""
    lr: float = 0.008
    """Peak learning rate of AdamW, which moves all else."""
    warmup: float = 0.15
    """Share of all steps over which the learning rate rises."""
    weight_decay: float = 0.02
    """Decoupled weight decay of both."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all ten classes."""
    ema_decay: float = 0.99
    """What the averaged weights keep of themselves at each step; the average is what answers."""

    def __post_init__(self) -> None:
        _require_finite(self, "fit")
        _require(self.epochs >= 1, "fit.epochs", self.epochs, "a whole number from 1")
        _require(self.epoch_images >= 1, "fit.epoch-images", self.epoch_images, "a whole number from 1")
        _require(2 <= self.batch_size <= MOST, "fit.batch-size", self.batch_size, f"a whole number from 2 to {MOST}")
        _require(0 < self.kernel_lr < 1, "fit.kernel-lr", self.kernel_lr, "a number between 0 and 1")
        _require(0 < self.lr < 1, "fit.lr", self.lr, "a number between 0 and 1")
        _require(0 <= self.warmup < 1, "fit.warmup", self.warmup, "a share from 0 to below 1")
        _require(0 <= self.weight_decay < 1, "fit.weight-decay", self.weight_decay, "a number from 0 to below 1")
        _require(
            0 <= self.label_smoothing < 1,
            "fit.label-smoothing",
            self.label_smoothing,
            "a share from 0 to below 1",
        )
        _require(0 <= self.ema_decay < 1, "fit.ema-decay", self.ema_decay, "a number from 0 to below 1")


@dataclass(frozen=True)
class Light:
    """The single net for other programs, fitted on all training digits with the settings of `fit`."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    """As net.channels; its answer takes no test-time shifts."""
    epochs: int = 12
    """Passes over all training digits."""

    def __post_init__(self) -> None:
        _require_channels(self.channels, "light.channels")
        _require(self.epochs >= 1, "light.epochs", self.epochs, "a whole number from 1")


@dataclass(frozen=True)
class Cgan:
    """The conditional GAN that draws further training digits."""

    share: float = 0.02
    """Share of generated digits in each of the classifier's batches; 0 fits no generator for the folds."""
    reserve: float = 0.0
    """Share of the training digits that no fold validates, on which one generator for all folds is fitted; 0 fits
    one in each fold, on what the fold trains on."""
    least_probability: float = 0.0
    """A generated digit to which the net that is being trained gives its label less than this is left out."""
    soft_labels: bool = False
    """Generated digits are learnt with the probabilities of the net that is being trained, not with their label."""
    epochs: int = 2
    """Passes over the training part."""
    epoch_images: int = 2048
    """As fit.epoch-images."""
    batch_size: int = 128
    """Real digits a step; as many are generated."""
    z_dim: int = 64
    """Width of the latent vector."""
    class_dim: int = 64
    """Width of the generator's class embedding."""
    class_std: float = 0.2
    """Standard deviation of the embedding's first values; z has 1, and the weaker one waits until z counts."""
    width: int = 16
    """Channels of the narrowest layer of both players."""
    trunk: int = 14
    """Side of the largest map that the generator convolves at: 14 or 28."""
    skip: bool = False
    """Residual connections in both players."""
    condition: Condition = "projection"
    """How the discriminator is told the digit: by the projection of its features, or as further planes."""
    loss: Loss = "hinge"
    """What the players are after."""
    r1: float = 0.0
    """Weight gamma of the penalty on the discriminator's gradient at real digits; 0 for none."""
    shift_px: float = 2.0
    """Largest shift either way of what the discriminator sees, real or generated, pixels; 0 for none."""
    lr: float = 0.001
    """Adam's learning rate for both players."""
    lr_decay: float = 0.0
    """Share of all steps, the last ones, over which the learning rate falls to 0."""
    ema_decay: float = 0.99
    """What the averaged generator keeps of itself at each step; the average is what draws."""
    least_variety: float = 0.3
    """A generator whose digits of a class differ less than this share of how real ones do has collapsed."""
    collapsed: Collapsed = "stop"
    """What then: stop the run, or leave that generator's digits out."""
    cas_seeds: int = 0
    """Nets trained on the shipped generator's digits alone, to score it on the test rows; 0 for none."""

    def __post_init__(self) -> None:
        _require_finite(self, "cgan")
        _require(0 <= self.share <= 0.9, "cgan.share", self.share, "a share from 0 to 0.9")
        _require(0 <= self.reserve <= 0.5, "cgan.reserve", self.reserve, "a share from 0 to 0.5")
        ok = self.share > 0 or not self.reserve
        _require(ok, "cgan.reserve", self.reserve, "0 (since --cgan.share 0 asks for no generated digits)")
        ok = 0 <= self.least_probability < 1
        _require(ok, "cgan.least-probability", self.least_probability, "a number from 0 to below 1")
        _require(self.epochs >= 1, "cgan.epochs", self.epochs, "a whole number from 1")
        _require(self.epoch_images >= 1, "cgan.epoch-images", self.epoch_images, "a whole number from 1")
        _require(2 <= self.batch_size <= MOST, "cgan.batch-size", self.batch_size, f"a whole number from 2 to {MOST}")
        _require(1 <= self.z_dim <= 1024, "cgan.z-dim", self.z_dim, "a whole number from 1 to 1024")
        _require(1 <= self.class_dim <= 1024, "cgan.class-dim", self.class_dim, "a whole number from 1 to 1024")
        _require(0 < self.class_std <= 10, "cgan.class-std", self.class_std, "a number above 0, at most 10")
        _require(4 <= self.width <= 512, "cgan.width", self.width, "a whole number from 4 to 512")
        _require(self.trunk in (14, 28), "cgan.trunk", self.trunk, "14 or 28")
        _require(0 <= self.r1 <= 1000, "cgan.r1", self.r1, "a number from 0 to 1000")
        _require(0 <= self.shift_px <= 14, "cgan.shift-px", self.shift_px, "a number of pixels from 0 to 14")
        _require(0 < self.lr < 1, "cgan.lr", self.lr, "a number between 0 and 1")
        _require(0 <= self.lr_decay <= 1, "cgan.lr-decay", self.lr_decay, "a share from 0 to 1")
        _require(0 <= self.ema_decay < 1, "cgan.ema-decay", self.ema_decay, "a number from 0 to below 1")
        _require(0 <= self.least_variety <= 1, "cgan.least-variety", self.least_variety, "a share from 0 to 1")
        _require(0 <= self.cas_seeds <= 100, "cgan.cas-seeds", self.cas_seeds, "a whole number from 0 to 100")


@dataclass(frozen=True)
class FinalGenerator:
    """The generator for other programs, fitted on all training digits with the settings of `cgan`."""

    epochs: int = 12
    """Passes over all training digits."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "generator.epochs", self.epochs, "a whole number from 1")


@Parameter(name="*")
@dataclass(frozen=True)
class Compute:
    """What it runs on. Recorded, since results agree to the last byte only on an equal layout."""

    device: Device = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    precision: Precision = "auto"
    """Of training; auto takes bf16 where the hardware multiplies it natively. Answers are always fp32."""
    workers: int = 0
    """Processes that fit folds side by side; 0 takes one a core on a CPU (at most one a fold), one on a GPU."""
    threads: int = 0
    """Threads a process; 0 shares the cores out among the workers."""

    def __post_init__(self) -> None:
        _require(0 <= self.workers <= 256, "workers", self.workers, "a whole number from 0 to 256")
        _require(0 <= self.threads <= 256, "threads", self.threads, "a whole number from 0 to 256")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """All of it."""

    seed: int = 0
    """Every random draw comes from this, the fold and the stage."""
    folds: int = 5
    """k of the stratified k-fold cross-validation."""
    nets: int = 1
    """Classifiers per fold, each with draws of its own; all folds' together form the ensemble."""
    init: Path | None = None
    """Folder of a run whose nets this one's begin with; what they have seen counts as seen here."""
    data: Data = field(default_factory=Data)
    warp: Warp = field(default_factory=Warp)
    net: Net = field(default_factory=Net)
    fit: Fit = field(default_factory=Fit)
    light: Light = field(default_factory=Light)
    cgan: Cgan = field(default_factory=Cgan)
    generator: FinalGenerator = field(default_factory=FinalGenerator)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**32, "seed", self.seed, "a whole number from 0 to 4294967295")
        _require(2 <= self.folds <= 100, "folds", self.folds, "a whole number from 2 to 100")
        _require(1 <= self.nets <= 100, "nets", self.nets, "a whole number from 1 to 100")
        real = self.fit.batch_size - round(self.cgan.share * self.fit.batch_size)
        _require(real >= 1, "cgan.share", self.cgan.share, "a share that leaves a real digit in each batch")


def light_settings(settings: Settings) -> Settings:
    """The settings under which the light net is fitted."""
    net = Net(settings.light.channels, tta_shift_px=0)
    return replace(settings, net=net, fit=replace(settings.fit, epochs=settings.light.epochs))


def final_generator_settings(settings: Settings) -> Settings:
    """The settings under which the final generator, the one for other programs, is fitted."""
    return replace(settings, cgan=replace(settings.cgan, epochs=settings.generator.epochs))


def scoring_settings(settings: Settings) -> Settings:
    """The settings under which a net learns from generated digits alone; its accuracy scores their generator."""
    settings = light_settings(settings)
    return replace(
        settings, fit=replace(settings.fit, epochs=CAS_EPOCHS), cgan=replace(settings.cgan, share=0.0, reserve=0.0)
    )


def to_table(settings: Settings) -> dict[str, Any]:
    """Settings as nested plain values, as TOML and JSON hold them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(entry) for key, entry in value.items() if entry is not None}
        if isinstance(value, tuple):
            return [plain(entry) for entry in value]
        return str(value) if isinstance(value, Path) else value

    table = plain(asdict(settings))
    assert isinstance(table, dict)
    return table


def from_table(table: Mapping[str, Any]) -> Settings:
    """The inverse of `to_table`. Raises BadInput for keys that no setting has, and for values of another type."""
    return _overlaid(Settings(), table, "")


def _overlaid(part: Part, table: Mapping[str, Any], prefix: str) -> Part:
    changes: dict[str, Any] = {}
    kinds = get_type_hints(type(part))
    known = {entry.name: getattr(part, entry.name) for entry in fields(part)}  # type: ignore[arg-type]
    for key, value in table.items():
        if key not in known:
            raise BadInput(f"settings: there is no setting {prefix}{key}; `tenfold run --help` lists them")
        changes[key] = _read(known[key], value, f"{prefix}{key}", get_args(kinds[key]))
    return replace(part, **changes)  # type: ignore[type-var]


def _read(now: Any, value: Any, name: str, choices: tuple[Any, ...]) -> Any:
    """A table's `value` as the type that the setting has `now`; text with `choices` is one of them."""
    if is_dataclass(now):
        _require(isinstance(value, Mapping), name, value, "a table of settings")
        return _overlaid(now, value, f"{name}.")
    if isinstance(now, tuple):
        _require(isinstance(value, list) and all(type(entry) is int for entry in value), name, value, "whole numbers")
        return tuple(value)
    if isinstance(now, float):
        _require(type(value) in (int, float), name, value, "a number")
        try:
            return float(value)
        except OverflowError as error:
            raise BadInput(f"{name}: is a number of {len(str(value))} digits; give a smaller one") from error
    if isinstance(now, bool):
        _require(type(value) is bool, name, value, "true or false")
        return value
    if isinstance(now, int):
        _require(type(value) is int, name, value, "a whole number")
        return value
    _require(isinstance(value, str) and "\0" not in value, name, value, "text")
    if now is None or isinstance(now, Path):
        return Path(value)
    _require(value in choices, name, value, f"one of {', '.join(choices)}")
    return value


def differences(
    now: Mapping[str, Any], other: Mapping[str, Any], where: str = "is asked for", prefix: str = ""
) -> list[str]:
    """What differs between two tables, a readable phrase each: `fit.epochs is 8, 9 is asked for`."""
    found: list[str] = []
    for key in {**now, **other}:
        before, after = now.get(key), other.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, where, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} is {before}, {after} {where}")
    return found
