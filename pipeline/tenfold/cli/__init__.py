"""The command `tenfold`: one thin file per command. Importing this loads no torch."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter

from digit_recognizer.command import NotInstalled
from digit_recognizer.damage import DamagedFile
from digit_recognizer.failures import KaggleFailed
from digit_recognizer.kernel_build import BuildFailed
from digit_recognizer.limits import BadLimit
from tenfold.cli.app import app
from tenfold.cli.blend import blend
from tenfold.cli.bug_report import bug_report
from tenfold.cli.compare import compare
from tenfold.cli.download import download
from tenfold.cli.export import export
from tenfold.cli.gan import gan
from tenfold.cli.generate import generate
from tenfold.cli.info import info
from tenfold.cli.join import join
from tenfold.cli.kernel import kernel
from tenfold.cli.predict import predict
from tenfold.cli.report import report
from tenfold.cli.run import layered, run
from tenfold.cli.score import score
from tenfold.cli.study import study
from tenfold.cli.submissions import submissions
from tenfold.cli.submit import submit
from tenfold.errors import BadInput, RunFailed, Unexpected, memory_ran_out
from tenfold.extras import install_command, missing_package
from tenfold.terminal import Verbosity, console, printing
from tenfold_onnx.contract import BadInput as BadModelInput

KAGGLE_FAILED: Final = {"other": 1, "unconfirmed": 3, "credentials": 4, "rules": 5, "limit": 6}  # exit codes


def shown_default(value: object) -> str | None:
    """An option's default for its help, as it would be typed; None where there is nothing to say."""
    if value is None or value is False:
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


command_line = App(
    name="tenfold",
    help="Begin with `tenfold run`: it trains on the files in data/, or else on a built-in sample of digits. "
    "Then `tenfold app` reads what you draw.",
    help_format="markdown",
    version_flags=["--version"],
    config=layered,
    suppress_keyboard_interrupt=False,  # handled below, with a sentence
    default_parameter=Parameter(negative=(), consume_multiple=True, show_default=shown_default),  # type: ignore[arg-type]
)
GROUPS: Final = {
    "Train": (run, report, compare, blend, join, gan),
    "Use the models": (app, predict, generate, info, export),
    "Kaggle": (download, score, submit, submissions, kernel),
    "Learn": (study,),
}
for title, commands in GROUPS.items():
    group = Group.create_ordered(title)
    for place, command in enumerate(commands):
        name = command.name[0] if isinstance(command, App) else command.__name__
        command_line.command(command)
        command_line[name].group, command_line[name].sort_key = group, place
OPTIONS: Final = Group.create_ordered("Options")  # last, since all other groups exist by now
command_line.register_install_completion_command(
    group=OPTIONS, help="Let bash, zsh or fish complete commands and options when you press Tab."
)
for flag in ("--help", "--version"):
    command_line[flag].group = OPTIONS
command_line.meta.suppress_keyboard_interrupt = False


@command_line.meta.default
def tenfold(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[bool, Parameter(group=OPTIONS)] = False,
    verbose: Annotated[bool, Parameter(group=OPTIONS)] = False,
) -> None:
    """Run a command.

    Parameters
    ----------
    quiet
        Print results and errors only.
    verbose
        Also print each epoch, and for an error where in the code it arose.
    """
    if quiet and verbose:
        raise BadInput("--quiet and --verbose: contradict each other; give one of them")
    with printing(Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL):
        try:
            command_line(tokens, console=console(), exit_on_error=False, print_error=False, result_action="return_none")
        except Exception:
            if verbose:
                traceback.print_exc()
            raise


def main(app: App = command_line.meta) -> NoReturn:
    """Run one command. Exit codes: 0 done, 1 failed, 2 usage or bad input, 130 interrupted; `submit` has more."""
    _open_closed_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, which a background job ignores
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that the terminal lacks is not fatal
    sys.exit(status(sys.argv[1:], app))


def status(tokens: list[str], app: App = command_line.meta) -> int:
    """Run one command and return its exit code; errors become one sentence on stderr."""
    try:
        app(tokens, console=console(), exit_on_error=False, print_error=False, result_action="return_none")
    except CycloptsError as error:
        command = next((token for token in tokens if not token.startswith("-") and token in app), "")
        sentence = " ".join(str(error).split())
        stop = "" if sentence.endswith((".", "?")) else "."
        help_command = " ".join(filter(None, (app.name[0], command, "--help")))
        return _fail(f"{sentence}{stop} See `{help_command}`.", 2)
    except (BadInput, BadModelInput, BadLimit, DamagedFile) as error:
        return _fail(str(error), 2)
    except Unexpected as error:
        return _fail(bug_report(error, tokens), 1)
    except (RunFailed, BuildFailed) as error:
        return _fail(str(error), 1)
    except KaggleFailed as error:
        return _fail(str(error), KAGGLE_FAILED[error.kind])
    except NotInstalled as error:
        return _fail(f"{error}; {install_command('kaggle')}", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python finds it broken again at exit
        return _fail("the reader of the output has closed it", 1)
    except Exception as error:
        return _fail_unforeseen(error, tokens)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "stopped; the same command continues", 130)
    return 0


def _fail_unforeseen(error: Exception, tokens: list[str]) -> int:
    if memory_ran_out(error):
        return _fail("memory ran out; free some, or use fewer --workers, and repeat the command", 1)
    if isinstance(error, OSError):
        where = error.filename or "system"
        if isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
            return _fail(f"{where}: a file or folder is in the way ({error.strerror}); give another path", 2)
        return _fail(f"{where}: {error.strerror or error}; fix that and repeat the command", 1)
    if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error)):
        return _fail(missing, 2)
    if isinstance(error, ImportError):
        reason = " ".join(str(error).split())[:200]
        return _fail(f"a package can't be loaded ({reason}); free memory if it is short, or install it again", 1)
    return _fail(bug_report(error, tokens), 1)


def _open_closed_streams() -> None:
    """Give standard streams that the caller has closed (`>&-`) somewhere to go, before a file takes their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # until the process ends


def _fail(sentence: str, code: int) -> int:
    err = console(stderr=True)
    if err.is_terminal:
        from rich.text import Text

        err.print(Text.assemble(("tenfold: ", "bold red"), sentence))
    else:
        print(f"tenfold: {sentence}", file=sys.stderr)
    return code
