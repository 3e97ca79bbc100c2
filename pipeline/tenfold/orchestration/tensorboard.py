"""The epochs' log as event files for TensorBoard, for those who have it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter

Epoch = Mapping[str, Any]


class EventFiles:
    """A folder of event files, one run of TensorBoard a training. What was there is written anew."""

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

    def epoch(self, record: Epoch) -> None:
        """Add one epoch's numbers."""
        task = record["task"]
        if task not in self.writers:
            self.writers[task] = SummaryWriter(str(self.folder / task))
        for name, value in record.items():
            if name.startswith(("loss", "validation", "variety", "seconds")):
                self.writers[task].add_scalar(f"{record['stage']}/{name}", value, record["epoch"])
        self.writers[task].flush()
