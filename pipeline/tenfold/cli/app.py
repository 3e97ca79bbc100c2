"""`tenfold app`: a web page to draw on. Needs no torch."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from tenfold_onnx.contract import BadInput


def app(models: list[Path] | None = None, /, *, port: int = 8010, no_open: bool = False) -> None:
    """Open a page to draw on: see digits read, and generate digits.

    It is served on this machine, for this machine alone.

    Parameters
    ----------
    models
        Run folders, or folders of runs; runs/ by default.
    port
        Port on 127.0.0.1; 0 takes a free one.
    no_open
        Do not open the browser.
    """
    import socket

    import uvicorn

    from tenfold_onnx.app.model_store import ModelStore, find_model_folders
    from tenfold_onnx.app.server import application

    store = ModelStore(find_model_folders(models or [Path("runs")]))
    store.models(next(iter(store.folders)))  # report a damaged file here rather than on the page
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
    config = uvicorn.Config(application(store), log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])
