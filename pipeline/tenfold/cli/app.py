"""`tenfold app`: a web page to draw on. Needs no torch."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenfold_onnx import shipped_models
from tenfold_onnx.contract import BadInput

if TYPE_CHECKING:
    from tenfold_onnx.app.model_store import ModelStore

RUNS: Final = Path("runs")


def app(
    models: list[Path] | None = None, /, *, port: int = 8010, no_open: bool = False, site: Path | None = None
) -> None:
    """Open a page to draw on: see digits read, and generate digits.

    It is served on this machine, for this machine alone.

    Parameters
    ----------
    models
        Run folders, or folders of runs; by default the models that ship with Tenfold, and those in runs/.
    port
        Port on 127.0.0.1; 0 takes a free one.
    no_open
        Do not open the browser.
    site
        Write the page into this folder instead, for any web server, such as GitHub Pages: the browser runs the models.
        Without `models`, only those that ship with Tenfold. Needs npm.
    """
    from tenfold_onnx.app.model_store import ModelStore, find_model_folders

    if models is None:
        models = [RUNS] * (site is None and any(RUNS.glob("*/*.onnx"))) + [shipped_models()]
    store = ModelStore(find_model_folders(models))
    store.models(next(iter(store.folders)))  # report a damaged file here rather than on the page
    if site is None:
        _serve(store, port, no_open)
    else:
        from tenfold_onnx.app.site import build_site

        build_site(store, site)
        print(f"written to {site}; try it with: python3 -m http.server --directory {site}")


def _serve(store: ModelStore, port: int, no_open: bool) -> None:
    import socket

    import uvicorn

    from tenfold_onnx.app.connections import LimitedConnection
    from tenfold_onnx.app.server import application

    if not 0 <= port <= 65535:
        raise BadInput(f"port: must be an integer from 0 to 65535, got {port}")
    # TCP by name: otherwise asyncio leaves TCP_NODELAY off, and every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise BadInput(
            f"port: {port} cannot be used ({error.strerror}); give another --port, or 0 for a free one"
        ) from error
    listener.listen()  # before the address is printed, so that it works once it can be read
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    print(f"{address} (press Ctrl-C to stop)", flush=True)
    if not no_open:
        webbrowser.open(address)
    config = uvicorn.Config(
        application(store), http=LimitedConnection, ws="none", log_level="warning", timeout_graceful_shutdown=2
    )
    with suppress(KeyboardInterrupt):  # how it is meant to end
        uvicorn.Server(config).run(sockets=[listener])
