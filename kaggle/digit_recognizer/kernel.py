"""The pipeline on Kaggle's own machines: push what `kernel_build` wrote, ask for its status and its output."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from digit_recognizer.command import call
from digit_recognizer.competition import PAGE
from digit_recognizer.failures import KaggleFailed, failure
from digit_recognizer.kernel_build import DATASET_METADATA, KERNEL, METADATA, WHEELS, BuildFailed
from digit_recognizer.limits import Limits

# The command's words for a source that Kaggle left out of the kernel, which it saves and starts all the same.
LEFT_OUT: Final = re.compile(r"The following are not valid (.+?) and could not\s+be added to the kernel: (.+)")


def push(out: Path, limits: Limits, tell: Callable[[str], None]) -> str:
    """Push what `build` wrote: the data set, then, once Kaggle has it ready, the kernel. Returns the kernel's URL.

    Raises BuildFailed where nothing was built, or KaggleFailed.
    """
    wheels, kernel = out / "wheels", out / "kernel"
    try:
        owner = json.loads((kernel / METADATA).read_text("utf-8"))["id"].partition("/")[0]
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise BuildFailed(f"{out}: has no kernel to push; `tenfold kernel build` makes it") from error
    dataset = f"{owner}/{WHEELS}"
    _push_dataset(wheels, dataset, limits)
    tell(f"pushed the data set {dataset}; waiting until Kaggle has it ready")
    end = time.monotonic() + limits.score_s
    while (state := call("datasets", "status", dataset, limit_s=limits.call_s).stdout.strip().lower()) != "ready":
        if time.monotonic() + limits.poll_s > end:
            raise KaggleFailed(
                "other", f"the data set {dataset} is not ready ({state or 'no answer'}); push again later"
            )
        time.sleep(limits.poll_s)
    result = call("kernels", "push", "-p", str(kernel), limit_s=limits.upload_s)
    pushed = re.search(r"successfully pushed.*?(https?://\S+)", result.stdout, re.DOTALL)
    if result.code != 0 or not pushed:
        raise failure(result, "the kernel was not pushed", limits.upload_s)
    left_out = [f"{what} {names}" for what, names in LEFT_OUT.findall(result.stdout)]
    if left_out:
        raise KaggleFailed(
            "other",
            f"Kaggle started the kernel without what it needs, {', '.join(left_out)}; accept the competition's rules "
            f"({PAGE}/rules), see that the data set is yours, and push again",
        )
    return pushed[1]


def status(owner: str, limit_s: float) -> str:
    """The kernel's status in Kaggle's word: QUEUED, RUNNING, COMPLETE or ERROR. Raises KaggleFailed."""
    result = call("kernels", "status", f"{owner}/{KERNEL}", limit_s=limit_s)
    state = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', result.stdout)
    if result.code != 0 or not state:
        raise failure(result, "the kernel's status could not be read", limit_s)
    return state[1].upper()


def output(owner: str, folder: Path, limit_s: float) -> list[Path]:
    """Download the kernel's output into `folder`. Raises KaggleFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    page: list[str] = []
    while True:
        arguments = ["kernels", "output", f"{owner}/{KERNEL}", "-p", str(folder), "--force", *page]
        result = call(*arguments, limit_s=limit_s)
        if result.code != 0:
            raise failure(result, "the kernel's output could not be downloaded", limit_s)
        next_page = re.search(r"^Next page token: (\S+)$", result.stdout, re.IGNORECASE | re.MULTILINE)
        if not next_page:
            return sorted(path for path in folder.rglob("*") if path.is_file())
        page = ["--page-token", next_page[1]]


def _push_dataset(wheels: Path, dataset: str, limits: Limits) -> None:
    """Create the data set, or a new version of it."""
    exists = call("datasets", "status", dataset, limit_s=limits.call_s).code == 0
    arguments = ("datasets", "version", "-m", "tenfold") if exists else ("datasets", "create")
    result = call(*arguments, "-p", str(wheels), limit_s=limits.upload_s)
    # The command makes a data set of the files that arrived, however few, so they are counted.
    arrived = result.stdout.count("Upload successful: ")
    expected = sum(1 for path in wheels.iterdir() if path.name != DATASET_METADATA)
    if result.code != 0 or "is being created" not in result.stdout or arrived != expected:
        raise failure(result, f"the data set {dataset} was not pushed", limits.upload_s)
