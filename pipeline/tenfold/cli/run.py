"""`tenfold run`: from files to a submission and models."""

from __future__ import annotations

import re
import sys
import tomllib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from digit_recognizer.limits import Limits
from tenfold.cli.summary import show_summary
from tenfold.errors import BadInput
from tenfold.presets import PRESETS, Preset, preset_for
from tenfold.settings import BASICS, COMPUTE, CONTINUING, FILES, Data, Settings, from_table
from tenfold.terminal import busy, note, result

if TYPE_CHECKING:
    from tenfold.orchestration.cluster import Cluster


def run(
    *,
    preset: Annotated[Preset | None, BASICS] = None,
    settings: Settings | None = None,
    out: Annotated[Path | None, BASICS] = None,
    fresh: Annotated[bool, CONTINUING] = False,
    cut_rates: Annotated[float | None, CONTINUING] = None,
    only: Annotated[str | None, CONTINUING] = None,
    cluster: Annotated[str | None, COMPUTE] = None,
    config: Annotated[Path | None, FILES] = None,
    dry_run: Annotated[bool, FILES] = False,
    tensorboard: Annotated[bool, FILES] = False,
) -> None:
    """Train on digits: from files to a submission, a report and models.

    The same command again continues a run that was stopped, whatever stopped it.

    Parameters
    ----------
    preset
        Predefined settings, which other options override: demo takes about a minute on the sample; on Kaggle's digits
        fast takes 15 to 35 minutes, best 1 to 3 hours. smoke is for tests. Default: demo on the sample, else fast. The
        defaults below are those of fast.
    config
        TOML file of settings, such as a run's settings.toml; overrides the preset, options override both.
    out
        The run's folder; runs/SOURCE-PRESET by default.
    fresh
        Empty the run's folder first.
    cut_rates
        After a loss became NaN: continue from the last good checkpoint with the learning rates times this factor. The
        run records it.
    tensorboard
        Write event files for TensorBoard into the run's folder.
    only
        Train one part, then stop: fold=F, fold=F,net=N, light or generator. `tenfold join` collects the parts.
    cluster
        Train on the nodes of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for one on this machine.
        Not stored in the run: you can continue it with or without a cluster.
    dry_run
        Print the settings as TOML, with the preset, the source and the folder as comments, and stop.
    """
    import tomli_w

    if tensorboard:
        import tenfold.orchestration.tensorboard  # noqa: F401  # report a missing package before anything else loads
    with busy("loading PyTorch"):
        from tenfold.orchestration.subset import remaining_message, select
        from tenfold.run import resolve
        from tenfold.run import run as carry_out
    from tenfold.settings import to_table
    from tenfold.storage.run_folder import RunFolder

    settings = settings or Settings()
    names = None if only is None else select(only, settings)
    if not dry_run:
        _offer_download(settings.data)
    with _connected(cluster) as nodes:
        settings, line = resolve(settings, nodes)
        preset = preset or preset_for(settings.data.source)
        path = out or Path("runs") / f"{settings.data.source}-{preset}"
        if dry_run:
            overridden = f", overridden by {config}" if config else ""
            print(f"# {line}\n# preset: {preset}{overridden}\n# folder: {path}")
            print(tomli_w.dumps(to_table(settings)), end="")
            return
        note(line)
        metrics = carry_out(
            settings, path, fresh=fresh, cut_rates=cut_rates, tensorboard=tensorboard, only=names, cluster=nodes
        )
    if metrics:
        show_summary(path, metrics)
    else:
        result(f"fitted {only} in {path}")
        note(remaining_message(settings, RunFolder(path)))


def _connected(address: str | None) -> AbstractContextManager[Cluster | None]:
    if address is None:
        return nullcontext()
    from tenfold.orchestration.cluster import connect

    return connect(address)


def _offer_download(data: Data) -> None:
    """Ask to download Kaggle's files if they are missing, and there are credentials and a person to ask."""
    from digit_recognizer import credentials, locate
    from digit_recognizer.download import download
    from tenfold.sources.mnist import present

    needed = data.source == "kaggle" or (data.source == "auto" and not present(data.data))
    if not needed or not sys.stdin.isatty() or locate.find(data.data) is not None or not credentials.present():
        return
    question = f"{data.data} does not hold Kaggle's files. Download them with your Kaggle credentials? [y/N] "
    if input(question).strip().lower() in ("y", "yes"):
        note(f"downloaded {download(data.data, Limits().upload_s)}")


def layered(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Check paths and integers; for `run` and `gan fit`, fill in --config, then the preset."""
    _require_paths(arguments)
    _require_integers(arguments)
    if commands not in (("run",), ("gan", "fit")):
        return
    config = _given(arguments, "--config")
    if config is not None:
        Dict(read_settings(Path(config)), source=config, use_commands_as_keys=False)(app, commands, arguments)
    preset = _given(arguments, "--preset") or preset_for(_source(arguments))
    table = PRESETS.get(preset)  # type: ignore[call-overload]  # its type refuses an unknown one
    if table:
        Dict(table, source=f"preset {preset}", use_commands_as_keys=False)(app, commands, arguments)


def _source(arguments: ArgumentCollection) -> str:
    """Where the digits will come from; "auto" resolved. Raises BadInput or DamagedFile."""
    source = _given(arguments, "--source") or "auto"
    if source != "auto":
        return source
    with busy("loading PyTorch"):
        from tenfold.sources.load import resolve_source
    return resolve_source(Data(data=Path(_given(arguments, "--data") or Data.data)))[0].source


def _require_integers(arguments: ArgumentCollection) -> None:
    """Refuse what cyclopts would truncate to an integer: 2.5 epochs."""
    for argument in arguments:
        for token in argument.tokens:
            if argument.hint is int and re.fullmatch(r"[+-]?\d*\.\d*", token.value or ""):
                raise BadInput(f"{argument.name}: must be an integer, got {token.value}")


def _require_paths(arguments: ArgumentCollection) -> None:
    """Refuse an empty path, which would mean the current folder: most likely an unset variable of a script."""
    for argument in arguments:
        for token in argument.tokens:
            if token.value == "" and "Path" in str(argument.hint):
                raise BadInput(f"{argument.name}: must be a path, got an empty string")


def _given(arguments: ArgumentCollection, name: str) -> str | None:
    tokens = arguments[name].tokens
    return tokens[-1].value if tokens else None


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a TOML file in the form of a run's settings.toml, with keys named like options.

    Raises BadInput where it is not such a file.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror}); give a TOML file of settings") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or thousands of nested lists
        raise BadInput(f"{path}: not valid TOML ({error}); correct it") from error
    try:
        from_table(table)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    sections = [table.pop(name, {}) for name in ("data", "compute")]  # their entries are plain options
    return table | {key: value for section in sections for key, value in section.items()}
