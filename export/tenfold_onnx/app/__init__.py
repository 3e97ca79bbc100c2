"""A web page to draw on: served to this machine only (needs starlette and uvicorn), or written as a static site."""

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).with_name("static")  # the page's files
