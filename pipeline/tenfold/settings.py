"""The settings of a run: one small frozen dataclass per topic. Imports no torch.

Every field is an option of `tenfold run` and a key of settings.toml. Its range is next to its default; a value
outside raises BadInput. `tenfold.sources.load` and `tenfold.training.device` resolve what is "auto" (or 0) before
anything is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args, get_type_hints

from cyclopts import Group, Parameter

from tenfold.errors import BadInput

Source = Literal["auto", "kaggle", "mnist", "sample"]
OverlapPolicy = Literal["honest", "allow"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]
Loss = Literal["non-saturating", "least-squares", "hinge"]
Collapsed = Literal["stop", "leave-out"]
Section = TypeVar("Section")

# Panels of `tenfold run --help`, in this order.
BASICS: Final = Parameter(group=Group.create_ordered("Basics"))
DATA: Final = Parameter(group=Group.create_ordered("Data, folds and overlap"))
WARPS: Final = Group.create_ordered("Warps: random changes to each training digit")
CLASSIFIER: Final = Group.create_ordered("Classifier")
LIGHT: Final = Group.create_ordered("Light net: a single one for other programs")
CGAN: Final = Group.create_ordered("cGAN: draws further training digits")
FINAL_GENERATOR: Final = Group.create_ordered("Final generator: for other programs")
COMPUTE: Final = Parameter(group=Group.create_ordered("Compute"))
CONTINUING: Final = Parameter(group=Group.create_ordered("Continuing, fine-tuning and partial runs"))
FILES: Final = Parameter(group=Group.create_ordered("Settings and logs"))

CAS_EPOCHS: Final = 5  # of a net that learns from generated digits alone
MAX_BATCH: Final = 2**20  # digits; a larger number is a typo


@dataclass(frozen=True)
class Range:
    """The values that a number may have; `below` and `above` are exclusive bounds."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and self.above < value < self.below

    def __str__(self) -> str:
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"from {self.low:.10g} to {self.high:.10g}"
        limits = ((">", self.above), ("≥", self.low), ("<", self.below), ("≤", self.high))
        return " and ".join(f"{sign} {limit:.10g}" for sign, limit in limits if math.isfinite(limit))


def _ranged(default: Any, **limits: float) -> Any:
    """A field with a default and the range of its value, or of each of its values."""
    return field(default=default, metadata={"range": Range(**limits)})


class _Ranged:
    """A dataclass whose fields are checked against their ranges. Raises BadInput."""

    section: ClassVar[str] = ""  # in messages, before the field's name

    def __post_init__(self) -> None:
        for entry in fields(self):  # type: ignore[arg-type]
            allowed = entry.metadata.get("range")
            if allowed is None:
                continue
            value, option = getattr(self, entry.name), _option(self.section, entry.name)
            if isinstance(value, tuple):
                ok = len(value) >= 2 and all(one in allowed for one in value)
                _require(ok, option, f"two or more integers {allowed}", " ".join(map(str, value)) or "none")
            else:
                kind = "a number" if isinstance(entry.default, float) else "an integer"
                _require(value in allowed, option, f"{kind} {allowed}", value)


def _option(section: str, name: str) -> str:
    return f"{section}.{name}".lstrip(".").replace("_", "-")


def _require(ok: bool, option: str, expected: str, value: object) -> None:
    if not ok:
        raise BadInput(f"{option}: must be {expected}, got {value}")


@Parameter(name="*")  # on the command line --source rather than --data.source
@dataclass(frozen=True)
class Data:
    """Where the digits come from."""

    source: Annotated[Source, BASICS] = "auto"
    """Kaggle's files with MNIST beside them, MNIST, or a built-in sample of it; auto takes the best it finds."""
    data: Annotated[Path, BASICS] = Path("data")
    """Folder with digit-recognizer.zip, its CSVs or MNIST/raw; or the zip itself."""
    overlap: Annotated[OverlapPolicy, DATA] = "honest"
    """honest: train on nothing that occurs in the test set. allow: train on everything, and be marked as leaked."""


@Parameter(group=WARPS)
@dataclass(frozen=True)
class Warp(_Ranged):
    """Random geometric augmentation, drawn anew for every digit of every batch."""

    section: ClassVar[str] = "warp"
    rotation_deg: float = _ranged(12.0, low=0, high=180)
    """Largest rotation either way, degrees."""
    shear_deg: float = _ranged(8.0, low=0, below=60)
    """Largest horizontal shear either way, degrees."""
    scale: float = _ranged(0.12, low=0, below=0.9)
    """Largest change of size either way, as a share; height and width are drawn separately."""
    shift_px: float = _ranged(2.0, low=0, high=14)
    """Largest shift either way along each axis, pixels."""
    elastic_px: float = _ranged(0.0, low=0, high=5)
    """Standard deviation of the smooth random displacement, pixels; 0 turns it off."""


@Parameter(group=CLASSIFIER)
@dataclass(frozen=True)
class Net(_Ranged):
    """The classifier: a 5x5 convolution with stride 2, then 3x3 convolutions, then global max pooling."""

    section: ClassVar[str] = "net"
    channels: tuple[int, ...] = _ranged((16, 32, 48, 64, 96), low=1, high=1024)
    """Channels of each convolution; the map is halved from 14x14 to 7x7 midway."""
    tta_shift_px: int = _ranged(1, low=0, high=14)
    """Test-time augmentation: average over the image and its shifts by this many pixels; 0 for none."""


@Parameter(group=CLASSIFIER)
@dataclass(frozen=True)
class Fit(_Ranged):
    """How the classifier is trained: by Muon and AdamW; the rate rises, then falls to 0; the weights are averaged."""

    section: ClassVar[str] = "fit"
    epochs: int = _ranged(12, low=1)
    """Passes over a fold's training digits."""
    epoch_images: int = _ranged(2048, low=1)
    """An epoch shows at least this many real digits; a smaller training set is shown several times."""
    batch_size: int = _ranged(128, low=2, high=MAX_BATCH)
    """Digits per step, generated ones included."""
    kernel_lr: float = _ranged(0.04, above=0, below=1)
    """Peak learning rate of Muon, which updates the convolution kernels."""
    lr: float = _ranged(0.008, above=0, below=1)
    """Peak learning rate of AdamW, which updates everything else."""
    warmup: float = _ranged(0.15, low=0, below=1)
    """Share of all steps over which the learning rate rises."""
    weight_decay: float = _ranged(0.02, low=0, below=1)
    """Decoupled weight decay of both optimisers."""
    label_smoothing: float = _ranged(0.05, low=0, below=1)
    """Share of the target that is spread over all ten classes."""
    ema_decay: float = _ranged(0.99, low=0, below=1)
    """Decay per step of the averaged weights; the average is what predicts."""


@Parameter(group=LIGHT)
@dataclass(frozen=True)
class Light(_Ranged):
    """The single net for other programs, fitted on all training digits with the settings of `fit`."""

    section: ClassVar[str] = "light"
    channels: tuple[int, ...] = _ranged((16, 32, 48, 64, 96), low=1, high=1024)
    """As net.channels; this net has no test-time augmentation."""
    epochs: int = _ranged(12, low=1)
    """Passes over all training digits."""
    non_digits: float = _ranged(0.5, low=0, high=10)
    """Images of no digit (letters, scribbles, several digits) per training digit, from which the finished net learns to
    doubt; 0 for none."""


@Parameter(group=CGAN)
@dataclass(frozen=True)
class Cgan(_Ranged):
    """The conditional GAN that draws further training digits."""

    section: ClassVar[str] = "cgan"
    share: float = _ranged(0.02, low=0, high=0.9)
    """Share of generated digits in each of the classifier's batches; 0 fits no generator for the folds."""
    reserve: float = _ranged(0.0, low=0, high=0.5)
    """Share of the training digits set aside for one generator for all folds; no fold validates them. 0: one generator
    per fold, on that fold's training digits."""
    least_probability: float = _ranged(0.0, low=0, below=1)
    """Leave out a generated digit if the net being trained gives its label a lower probability than this."""
    soft_labels: bool = False
    """Learn generated digits with the probabilities of the net being trained instead of their labels."""
    epochs: int = _ranged(2, low=1)
    """Passes over a fold's training digits."""
    epoch_images: int = _ranged(2048, low=1)
    """As fit.epoch-images."""
    batch_size: int = _ranged(128, low=2, high=MAX_BATCH)
    """Real digits per step; as many are generated."""
    z_dim: int = _ranged(64, low=1, high=1024)
    """Width of the latent vector."""
    class_dim: int = _ranged(64, low=1, high=1024)
    """Width of the generator's class embedding."""
    class_std: float = _ranged(0.2, above=0, high=10)
    """Standard deviation of the embedding's initial values; z has 1. The input with smaller values is learnt later."""
    width: int = _ranged(16, low=4, high=512)
    """Channels of the narrowest layer of generator and discriminator."""
    skip: bool = False
    """Skip (residual) connections in generator and discriminator."""
    loss: Loss = "hinge"
    """Loss function of generator and discriminator."""
    shift_px: float = _ranged(2.0, low=0, high=14)
    """Largest shift either way of the discriminator's inputs, real and generated, pixels; 0 for none."""
    lr: float = _ranged(0.001, above=0, below=1)
    """Adam's learning rate for generator and discriminator."""
    ema_decay: float = _ranged(0.99, low=0, below=1)
    """Decay per step of the averaged generator; the average is what draws."""
    least_variety: float = _ranged(0.3, low=0, high=1)
    """A generator has collapsed if its digits within a class vary less than this share of real ones."""
    collapsed: Collapsed = "stop"
    """What to do with a collapsed generator: stop the run, or leave its digits out."""
    cas_seeds: int = _ranged(0, low=0, high=100)
    """Nets that score the final generator: trained on its digits alone, tested on the test rows (CAS); 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        ok = self.share > 0 or not self.reserve
        _require(ok, "cgan.reserve", "0, since --cgan.share 0 asks for no generated digits", self.reserve)


@Parameter(group=FINAL_GENERATOR)
@dataclass(frozen=True)
class FinalGenerator(_Ranged):
    """The generator for other programs, fitted on all training digits with the settings of `cgan`."""

    section: ClassVar[str] = "generator"
    epochs: int = _ranged(12, low=1)
    """Passes over all training digits."""


@Parameter(name="*")
@dataclass(frozen=True)
class Compute(_Ranged):
    """What it runs on. Recorded, since only equal values give identical results."""

    device: Annotated[Device, COMPUTE] = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    precision: Annotated[Precision, COMPUTE] = "auto"
    """Training precision; auto takes bf16 if the processor supports it directly. Predictions are always fp32."""
    workers: Annotated[int, COMPUTE] = _ranged(0, low=0, high=256)
    """Processes that train in parallel; 0 takes one per core on a CPU, up to 4 on CUDA, 1 on MPS."""
    threads: Annotated[int, COMPUTE] = _ranged(0, low=0, high=256)
    """Threads per process; 0 divides the cores among the workers."""


@Parameter(name="*")
@dataclass(frozen=True)
class Settings(_Ranged):
    """All settings of a run."""

    data: Data = field(default_factory=Data)
    seed: Annotated[int, BASICS] = _ranged(0, low=0, high=2**32 - 1)
    """Another integer gives other random numbers, from the folds to the nets' first weights."""
    folds: Annotated[int, DATA] = _ranged(5, low=2, high=100)
    """Number of folds of the cross-validation; each has its share of every digit."""
    nets: Annotated[int, DATA] = _ranged(1, low=1, high=100)
    """Classifiers per fold, each with seeds of its own; those of all folds form the ensemble."""
    init: Annotated[Path | None, CONTINUING] = None
    """Folder of a run whose weights this one starts from; its training digits count as seen."""
    warp: Warp = field(default_factory=Warp)
    net: Net = field(default_factory=Net)
    fit: Fit = field(default_factory=Fit)
    light: Light = field(default_factory=Light)
    cgan: Cgan = field(default_factory=Cgan)
    generator: FinalGenerator = field(default_factory=FinalGenerator)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        super().__post_init__()
        real = self.fit.batch_size - round(self.cgan.share * self.fit.batch_size)
        _require(real >= 1, "cgan.share", "a share that leaves a real digit in each batch", self.cgan.share)

    @property
    def light_net(self) -> Net:
        """The light net's architecture."""
        return Net(self.light.channels, tta_shift_px=0)

    @property
    def light_fit(self) -> Fit:
        """How the light net is trained."""
        return replace(self.fit, epochs=self.light.epochs)

    @property
    def scoring_fit(self) -> Fit:
        """How a light net is trained on generated digits alone, to score their generator."""
        return replace(self.fit, epochs=CAS_EPOCHS)

    @property
    def final_cgan(self) -> Cgan:
        """How the final generator is trained."""
        return replace(self.cgan, epochs=self.generator.epochs)


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
    """The inverse of `to_table`. Raises BadInput for unknown keys and for values of another type."""
    return _overlay(Settings(), table, "")


def _overlay(section: Section, table: Mapping[str, Any], prefix: str) -> Section:
    """`section` with the values of `table`."""
    types = get_type_hints(type(section))
    current = {entry.name: getattr(section, entry.name) for entry in fields(section)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key not in current:
            raise BadInput(f"settings: unknown setting {prefix}{key}; `tenfold run --help` lists all settings")
        changes[key] = _parse(current[key], value, f"{prefix}{key}", get_args(types[key]))
    return replace(section, **changes)  # type: ignore[type-var]


def _parse(current: Any, value: Any, name: str, choices: tuple[Any, ...]) -> Any:
    """A table's `value` as the type of the `current` one; text that has `choices` must be one of them."""
    if is_dataclass(current):
        _require(isinstance(value, Mapping), name, "a table of settings", value)
        return _overlay(current, value, f"{name}.")
    if isinstance(current, tuple):
        ok = isinstance(value, list) and all(type(entry) is int for entry in value)
        _require(ok, name, "a list of integers", value)
        return tuple(value)
    if isinstance(current, bool):
        _require(type(value) is bool, name, "true or false", value)
        return value
    if isinstance(current, int):
        _require(type(value) is int, name, "an integer", value)
        return value
    if isinstance(current, float):
        _require(type(value) in (int, float), name, "a number", value)
        try:
            return float(value)
        except OverflowError as error:
            raise BadInput(f"{name}: must be a smaller number, got one with {len(str(value))} digits") from error
    _require(isinstance(value, str) and "\0" not in value, name, "text", value)
    if current is None or isinstance(current, Path):
        return Path(value)
    _require(value in choices, name, f"one of {', '.join(choices)}", value)
    return value


def differences(current: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two tables, one phrase per setting: `fit.epochs is 8 instead of 9`."""
    phrases: list[str] = []
    for key in {**current, **other}:
        a, b = current.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            phrases += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            phrases.append(f"{prefix}{key} is {a} instead of {b}")
    return phrases
