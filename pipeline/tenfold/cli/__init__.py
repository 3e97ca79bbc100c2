"""The command `tenfold`: one thin file per command. Importing this loads no torch."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from typing import Final, NoReturn

from cyclopts import App, CycloptsError, Parameter

from digit_recognizer.command import NotInstalled
from digit_recognizer.failures import KaggleFailed
from digit_recognizer.kernel import BuildFailed
from digit_recognizer.limits import BadLimit
from digit_recognizer.rows import DamagedFile
from tenfold.cli.app import app
from tenfold.cli.blend import blend
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
from tenfold.errors import BadInput, RunFailed
from tenfold_onnx.contract import BadInput as BadModelInput

# The packages that each extra installs, for the sentence that names a missing one.
EXTRAS: Final = {
    "train": ("torch", "torchvision", "pandas", "sklearn", "scipy", "onnx", "onnx_ir", "onnxscript", "safetensors",
              "rich", "matplotlib", "mlxtend", "jinja2", "markupsafe", "tomli_w", "dacite"),
    "tensorboard": ("tensorboard",),
    "app": ("starlette", "uvicorn"),
    "kaggle": ("filelock",),
    "cluster": ("ray",),
}  # fmt: skip

KAGGLE_FAILED: Final = {"other": 1, "unconfirmed": 3, "credentials": 4, "rules": 5, "limit": 6}  # exit codes

command_line = App(
    name="tenfold",
    help="From Kaggle's digit-recognizer files to an honest submission and ONNX models.",
    help_format="plaintext",
    version_flags=["--version"],
    config=layered,
    suppress_keyboard_interrupt=False,  # handled below, with a sentence
    default_parameter=Parameter(negative=(), consume_multiple=True),
)
for command in (
    run,
    join,
    report,
    compare,
    score,
    blend,
    predict,
    generate,
    info,
    export,
    download,
    submit,
    submissions,
    kernel,
    study,
):
    command_line.command(command)
command_line.command(gan)
command_line.command(app, name="app")


def main(app: App = command_line) -> NoReturn:
    """Run one command. Exit codes: 0 done, 1 failed, 2 usage or bad input, 130 interrupted; `submit` has more."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, which a background job ignores
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that the terminal lacks is not fatal
    sys.exit(status(sys.argv[1:], app))


def status(tokens: list[str], app: App = command_line) -> int:
    """Run one command and return its exit code; errors become one sentence on stderr."""
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_none")
    except CycloptsError as error:
        command = tokens[0] if tokens and tokens[0] in app else ""
        sentence = " ".join(str(error).split())
        stop = "" if sentence.endswith((".", "?")) else "."
        help_command = " ".join(filter(None, (app.name[0], command, "--help")))
        return _fail(f"{sentence}{stop} See `{help_command}`.", 2)
    except (BadInput, BadModelInput, BadLimit, DamagedFile) as error:
        return _fail(str(error), 2)
    except (RunFailed, BuildFailed) as error:
        return _fail(str(error), 1)
    except KaggleFailed as error:
        return _fail(str(error), KAGGLE_FAILED[error.kind])
    except NotInstalled as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python finds it broken again at exit
        return _fail("the reader of the output has closed it", 1)
    except OSError as error:
        where = error.filename or "system"
        return _fail(f"{where}: {error.strerror or error}; fix that and repeat the command", 1)
    except ModuleNotFoundError as error:
        for extra, packages in EXTRAS.items():
            if error.name and error.name.partition(".")[0] in packages:
                return _fail(f"{error.name} is not installed; pip install 'tenfold[{extra}]'", 2)
        raise
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "stopped; the same command continues", 130)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(f"tenfold: {sentence}", file=sys.stderr)
    return code
