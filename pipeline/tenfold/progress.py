"""What a person sees while a run works: one plain line an epoch, and a bar where there is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm


class Progress:
    """A bar over all epochs of all tasks on stderr, silent where that is no terminal; lines go to stdout."""

    def __init__(self, epochs: int, done: int) -> None:
        self.bar = tqdm(total=epochs, initial=done, unit="epoch", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def epoch(self, record: dict[str, Any]) -> None:
        """Show one epoch's record."""
        numbers = (
            f"{name.replace('_', ' ')} {value:.4f}"
            for name, value in record.items()
            if name.startswith(("loss", "validation", "variety"))
        )
        line = f"{record['task']} {record['stage']} epoch {record['epoch']}/{record['epochs']}"
        self.bar.write(f"{line}: {', '.join(numbers)}, {record['seconds']:.1f} s", file=sys.stdout)
        sys.stdout.flush()
        self.bar.update()
