"""Tables of results: drawn on a terminal, Markdown elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from tenfold.report.markdown import markdown
from tenfold.terminal import console, draw


def show_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table. On a terminal too narrow for it, each line becomes a block: its first cell, then the others."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not out.is_terminal:
        print(markdown(header, lines))
        return
    table = Table(*header, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for line in lines:
        table.add_row(*line)
    if Measurement.get(out, out.options.update(max_width=10_000), table).minimum <= out.width:  # no word is broken
        draw(table)
        return
    for title, *cells in lines:
        draw(Text(f"{header[0]} {title}".strip(), "bold"))
        draw(*(f"  {name}: {cell}" for name, cell in zip(header[1:], cells, strict=True) if cell))


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns; on a terminal, long values are broken between words."""
    from rich.table import Table

    width = max(len(name) for name, _ in pairs)
    if not console().is_terminal:
        for name, value in pairs:
            print(f"{name:{width}}  {value}")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, value)
    draw(grid)


def show_page(text: str) -> None:
    """Print a page of Markdown, formatted on a terminal."""
    from rich.markdown import Markdown

    if console().is_terminal:
        draw(Markdown(text))
    else:
        print(text, end="")
