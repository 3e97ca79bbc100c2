"""README's pictures, made again from a finished run: `python docs/make_pictures.py runs/kaggle-fast`.

A browser draws on the page of `tenfold app`, as a person would. Needs the extra `dev` and an installed Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright
from scipy.interpolate import make_interp_spline

Points = list[tuple[float, float]]  # (x, y) in shares of the board
Box = Any  # x, y, width, height in pixels, as Playwright gives and takes it

# Each drawing has two parts: one digit, then what turns it into another.
THREE_TO_EIGHT: Final[list[list[Points]]] = [
    [[(0.32, 0.26), (0.48, 0.16), (0.65, 0.24), (0.62, 0.4), (0.46, 0.48),
      (0.64, 0.54), (0.7, 0.7), (0.52, 0.85), (0.32, 0.76)]],
    [[(0.32, 0.27), (0.35, 0.4), (0.46, 0.48)], [(0.46, 0.48), (0.33, 0.58), (0.32, 0.76)]],
]  # fmt: skip
FIVE_TO_SIX: Final[list[list[Points]]] = [
    [[(0.66, 0.17), (0.52, 0.18), (0.4, 0.2)], [(0.4, 0.2), (0.37, 0.34), (0.35, 0.47)],
     [(0.35, 0.47), (0.5, 0.44), (0.66, 0.52), (0.68, 0.7), (0.54, 0.83), (0.36, 0.78)]],
    [[(0.35, 0.47), (0.33, 0.62), (0.36, 0.78)]],
]  # fmt: skip
FOUR_TO_NINE: Final[list[list[Points]]] = [
    [[(0.36, 0.2), (0.33, 0.36), (0.34, 0.5)], [(0.34, 0.5), (0.5, 0.5), (0.66, 0.48)],
     [(0.65, 0.2), (0.65, 0.5), (0.64, 0.84)]],
    [[(0.36, 0.2), (0.5, 0.15), (0.65, 0.2)]],
]  # fmt: skip
DRAWINGS: Final = (THREE_TO_EIGHT, FIVE_TO_SIX, FOUR_TO_NINE)

STEP: Final = 0.055  # of the board's side: how far the pen moves in one frame
FRAME_MS, LIFTED_MS, READ_MS, LAST_MS = 60, 300, 1000, 1600  # a step; before a stroke; a digit; before the next
GIF_WIDTH, GIF_COLOURS = 800, 64
WIDTH: Final = 1280  # of the browser's window
SIDE_MARGIN: Final = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for the pictures")
    chosen = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is installed; install one, or name it in CHROMIUM")
    if not (chosen.run / "report.html").is_file():
        sys.exit(f"{chosen.run}: is not the folder of a finished run; finish it with `tenfold run`")
    chosen.out.mkdir(parents=True, exist_ok=True)
    with served(chosen.run) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        view = browser.new_page(viewport={"width": WIDTH, "height": 900}, reduced_motion="reduce")
        view.set_default_timeout(300_000)  # a busy machine is slow
        view.goto(address)
        settle(view)
        frames, durations = drawing_film(view)
        write_gif(frames, durations, chosen.out / "drawing.gif")
        write_png(view.screenshot(full_page=True), chosen.out / "page.png")
        view.get_by_role("tab").nth(1).click()
        write_png(settle(view, full_page=True), chosen.out / "page-generate.png")
        view.goto((chosen.run / "report.html").resolve().as_uri())
        write_png(settle(view), chosen.out / "report.png")
        browser.close()
    generator = chosen.run / "generator"
    shutil.copyfile(generator / "progress.gif", chosen.out / "generator.gif")
    shutil.copyfile(max((generator / "grids").iterdir()), chosen.out / "generated.png")
    shutil.copyfile(generator / "networks.svg", chosen.out / "networks.svg")


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of `tenfold app` with the run's models."""
    command = [sys.executable, "-m", "tenfold", "app", str(run), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        if not line:
            sys.exit(process.stderr.read().strip())
        yield line.split()[0]
    finally:
        process.terminate()
        process.wait()


def settle(view: Page, **screenshot: Any) -> bytes:
    """A screenshot, once two in a row are equal: what was drawn has been read. Waits 10 s at most."""
    before = view.screenshot(**screenshot)
    for _ in range(100):
        view.wait_for_timeout(100)
        now = view.screenshot(**screenshot)
        if now == before:
            return now
        before = now
    return before


def drawing_film(view: Page) -> tuple[list[Image.Image], list[int]]:
    """Frames of the board, the label and the bars while digits are drawn with the mouse, and how long to show each.

    The last drawing stays on the page.
    """
    board = view.locator("#canvas").bounding_box()
    assert board
    clip = around(view, board, "#label", "#bars")
    frames, durations = [], []

    def film(x: float, y: float, ms: int) -> None:
        frame = Image.open(io.BytesIO(settle(view, clip=clip))).convert("RGB")
        draw_pointer(frame, x - clip["x"], y - clip["y"])
        frames.append(frame)
        durations.append(ms)

    for number, drawing in enumerate(DRAWINGS):
        if number:
            view.locator("#clear").click()
        for part in drawing:
            for points in part:
                path = curve(points) * (board["width"], board["height"]) + (board["x"], board["y"])
                (x, y), *others = path.tolist()
                view.mouse.move(x, y)
                film(x, y, LIFTED_MS)
                view.mouse.down()
                for x, y in others:
                    view.mouse.move(x, y, steps=3)
                    film(x, y, FRAME_MS)
                view.mouse.up()
            durations[-1] = LAST_MS if part is drawing[-1] else READ_MS
    return frames, durations


def curve(points: Points) -> npt.NDArray[np.float64]:
    """A smooth line through the points, as points (N, 2) that are STEP apart."""
    corners = np.array(points)
    lengths = np.concatenate([[0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    spline = make_interp_spline(lengths, corners, k=min(3, len(corners) - 1))
    line: npt.NDArray[np.float64] = spline(np.linspace(0, lengths[-1], round(lengths[-1] / STEP) + 2))
    return line


def around(view: Page, board: Box, *selectors: str) -> Box:
    """The page from its top to the board's lower edge, as wide as the board and these elements, with a margin."""
    boxes = [board, *(box for selector in selectors if (box := view.locator(selector).bounding_box()))]
    left = min(box["x"] for box in boxes) - SIDE_MARGIN
    right = max(box["x"] + box["width"] for box in boxes) + SIDE_MARGIN
    return {"x": left, "y": 0, "width": right - left, "height": board["y"] + board["height"] + 7}


def draw_pointer(frame: Image.Image, x: float, y: float) -> None:
    """Draw the mouse pointer, which a screenshot lacks, with its tip at (x, y)."""
    outline = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
    ImageDraw.Draw(frame).polygon([(x + dx, y + dy) for dx, dy in outline], fill="white", outline="black")


def write_gif(frames: list[Image.Image], durations: list[int], path: Path) -> None:
    """All frames with one palette, so that nothing flickers."""
    height = round(frames[0].height * GIF_WIDTH / frames[0].width)
    small = [frame.resize((GIF_WIDTH, height), Image.Resampling.LANCZOS) for frame in frames]
    palette = small[len(small) // 2].quantize(GIF_COLOURS)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)


def write_png(png: bytes, path: Path) -> None:
    """A screenshot with 256 colours, which are a third of the bytes."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
