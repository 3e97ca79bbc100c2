"""The epochs' log as event files for TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from tenfold.storage.epoch_log import Epoch


class EventFiles:
    """A folder of event files, one TensorBoard run per training. Existing files are written anew."""

    def __init__(self, folder: Path, done: Iterable[Epoch]) -> None:
        self.folder = folder
        self.writers: dict[str, SummaryWriter] = {}
        shutil.rmtree(folder, ignore_errors=True)
        for epoch in done:
            self.epoch(epoch)

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self.writers.values():
            writer.close()

    def epoch(self, epoch: Epoch) -> None:
        """Add one epoch's numbers."""
        if epoch.task not in self.writers:
            self.writers[epoch.task] = SummaryWriter(str(self.folder / epoch.task))
        for name, value in (epoch.numbers() | {"seconds": epoch.seconds}).items():
            self.writers[epoch.task].add_scalar(f"{epoch.stage}/{name}", value, epoch.epoch)
        self.writers[epoch.task].flush()
