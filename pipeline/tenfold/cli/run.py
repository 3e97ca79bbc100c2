"""`tenfold run`: from files to a submission and models."""

from __future__ import annotations

import re
import sys
import tomllib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from digit_recognizer.limits import Limits
from tenfold.errors import BadInput
from tenfold.presets import PRESETS, Preset
from tenfold.settings import Data, Settings, from_table

if TYPE_CHECKING:
    from tenfold.orchestration.cluster import Cluster


def run(
    *,
    settings: Settings | None = None,
    preset: Preset = "fast",
    config: Path | None = None,
    out: Path | None = None,
    fresh: bool = False,
    cut_rates: float | None = None,
    tensorboard: bool = False,
    only: str | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
) -> None:
    """Train, cross-validate, write submission.csv and the report, and export the models.

    The same command again continues a run that was stopped, whatever stopped it.

    Parameters
    ----------
    preset
        Ready-made settings: smoke takes a minute or two, fast a quarter to half an hour, best hours. Other options
        override it.
    config
        TOML file of settings, such as a run's settings.toml; overrides the preset, options override both.
    out
        The run's folder; runs/SOURCE-PRESET unless given.
    fresh
        Empty the run's folder first.
    cut_rates
        Where a loss became no number: go on from the last good checkpoint with the learning rates times this factor.
        The run records it.
    tensorboard
        Write event files for TensorBoard into the run's folder.
    only
        Fit a part and stop: fold=F, fold=F,net=N, light or generator. `tenfold join` brings parts together.
        The nets of a fold are what others call its seeds.
    cluster
        Train on the nodes of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for one on this machine.
        Not recorded: a run may be continued with it or without.
    dry_run
        Print the settings as TOML, and do nothing.
    """
    import tomli_w

    if tensorboard:
        import tenfold.orchestration.tensorboard  # noqa: F401  # a missing package is told before anything is loaded
    from tenfold.orchestration.subset import remaining_message, select
    from tenfold.run import resolve
    from tenfold.run import run as carry_out
    from tenfold.settings import to_table
    from tenfold.storage.run_folder import RunFolder

    wanted = settings or Settings()
    part = None if only is None else select(only, wanted)
    if not dry_run:
        _offer_download(wanted.data)
    with _joined(cluster) as where:
        asked, line = resolve(wanted, where)
        if dry_run:
            print(tomli_w.dumps(to_table(asked)), end="")
            return
        print(line)
        place = out or Path("runs") / f"{asked.data.source}-{preset}"
        carry_out(asked, place, fresh, cut_rates, tensorboard, part, where)
        if part:
            print(f"fitted in {place}: what --only asked for")
            print(remaining_message(asked, RunFolder(place)))


def _joined(address: str | None) -> AbstractContextManager[Cluster | None]:
    if address is None:
        return nullcontext()
    from tenfold.orchestration.cluster import connect

    return connect(address)


def _offer_download(data: Data) -> None:
    """Where Kaggle's files are wanted and missing, and there are credentials and a person to ask: ask, then fetch."""
    from digit_recognizer import credentials, files
    from digit_recognizer.download import download
    from tenfold.sources.mnist import present

    wanted = data.source == "kaggle" or (data.source == "auto" and not present(data.data))
    if not wanted or not sys.stdin.isatty() or files.find(data.data) is not None or not credentials.present():
        return
    question = f"{data.data} does not hold Kaggle's files. Download them with your Kaggle credentials? [y/N] "
    if input(question).strip().lower() in ("y", "yes"):
        print(f"downloaded {download(data.data, Limits().upload_s)}")


def layered(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what `tenfold run` or `gan fit` was not told: from --config first, then from the preset."""
    _require_paths(arguments)
    _require_whole_numbers(arguments)
    if commands not in (("run",), ("gan", "fit")):
        return
    config = _given(arguments, "--config")
    if config is not None:
        Dict(read_settings(Path(config)), source=config, use_commands_as_keys=False)(app, commands, arguments)
    preset = _given(arguments, "--preset") or "fast"
    table = PRESETS.get(preset)  # type: ignore[call-overload]  # an unknown one is refused by its type
    if table:
        Dict(table, source=f"preset {preset}", use_commands_as_keys=False)(app, commands, arguments)


def _require_whole_numbers(arguments: ArgumentCollection) -> None:
    """Refuse what cyclopts would cut to a whole number: 2.5 epochs."""
    for argument in arguments:
        for token in argument.tokens:
            if argument.hint is int and re.fullmatch(r"[+-]?\d*\.\d*", token.value or ""):
                raise BadInput(f"{argument.name}: is {token.value} where a whole number belongs")


def _require_paths(arguments: ArgumentCollection) -> None:
    """Refuse an empty path, which would mean the current folder: an unset variable of a script, most likely."""
    for argument in arguments:
        for token in argument.tokens:
            if token.value == "" and "Path" in str(argument.hint):
                raise BadInput(f"{argument.name}: is empty where a path belongs")


def _given(arguments: ArgumentCollection, name: str) -> str | None:
    tokens = arguments[name].tokens
    return tokens[-1].value if tokens else None


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, which has the form of a run's settings.toml, as options are called.

    Raises BadInput for what is no such file.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror}); give a TOML file of settings") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise BadInput(f"{path}: is no TOML ({error}); correct it") from error
    try:
        from_table(table)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    sections = [table.pop(name, {}) for name in ("data", "compute")]  # whose entries are plain options
    return table | {key: value for section in sections for key, value in section.items()}
