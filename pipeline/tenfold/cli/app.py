"""`tenfold app`: a page to draw on. Needs no torch."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from tenfold_onnx.contract import BadInput


def app(models: list[Path] | None = None, /, *, port: int = 8010, no_open: bool = False) -> None:
    """Serve a page to this machine's own browser: draw a digit and watch it read, generate digits.

    Parameters
    ----------
    models
        Folders of runs, or folders that hold such; runs/ unless given.
    port
        Where it listens on 127.0.0.1; 0 takes a free one.
    no_open
        Don't open the browser.
    """
    import socket

    import uvicorn

    from tenfold_onnx.app.model_store import ModelStore, found
    from tenfold_onnx.app.server import application

    folders = found(models or [Path("runs")])
    shelf = ModelStore(folders)
    shelf.models(next(iter(shelf.folders)))  # a damaged file is told here rather than on the page
    if not 0 <= port <= 65535:
        raise BadInput(f"port: is {port} where a whole number from 0 to 65535 belongs")
    # Named as TCP, or asyncio leaves TCP_NODELAY off and every answer waits 40 ms for an acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        raise BadInput(f"port: {port} can't be had ({error.strerror}); give another --port, or 0 for any") from error
    listening.listen()  # before the address is told, so that whoever reads it can come
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    print(f"{address} (Ctrl-C ends it)", flush=True)
    if not no_open:
        webbrowser.open(address)
    settings = uvicorn.Config(application(shelf), log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(settings).run(sockets=[listening])
