"""The page's server: a handful of calls, each a small question to the models. For 127.0.0.1 alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tenfold_onnx.app.model_store import ModelStore, occlusion, pictures
from tenfold_onnx.contract import MOST_PIXELS, BadInput

STATIC: Final = Path(__file__).with_name("static")
MOST_BYTES: Final = 1_000_000  # of a request: a drawing is 78,400
MOST_DIGITS: Final = 100  # drawn a call
CHANNELS: Final = 12  # pictures a layer

Answer = dict[str, Any]


def application(shelf: ModelStore) -> Starlette:
    """The page and its calls, answered by the models of `shelf`."""

    def call(work: Callable[[ModelStore, dict[str, Any]], Answer]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                asked = json.loads(await _body(request))
                if not isinstance(asked, dict):
                    raise BadInput("request: is no JSON object")
                return JSONResponse(await run_in_threadpool(work, shelf, asked))
            except _TooLarge:
                return JSONResponse({"error": f"request: is larger than {MOST_BYTES:,} bytes"}, 413)
            except (BadInput, ValueError) as error:  # ValueError: no JSON, no UTF-8
                return JSONResponse({"error": str(error)}, 400)

        return answer

    async def models(_: Request) -> Response:
        names = list(shelf.folders)
        return JSONResponse([{"name": name, "card": await run_in_threadpool(shelf.card, name)} for name in names])

    routes = [
        Route("/api/models", models),
        *(
            Route(f"/api/{name}", call(work), methods=["POST"])
            for name, work in (("read", _read), ("explain", _explain), ("generate", _generate), ("walk", _walk))
        ),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    here = ["127.0.0.1", "localhost", "[::1]"]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, here), Middleware(_Guarded)])


def _read(shelf: ModelStore, asked: dict[str, Any]) -> Answer:
    """What is on a drawing."""
    said = shelf.models(_text(asked, "model")).canvas.predict(_drawing(asked))
    return {
        "label": int(said.label[0]),
        "probabilities": [round(float(p), 5) for p in said.probabilities[0]],
        "seen": _packed(said.seen[0]),
        "ink": round(float(said.ink[0]), 5),
    }


def _explain(shelf: ModelStore, asked: dict[str, Any]) -> Answer:
    """Which parts of a drawing mattered, and what each layer makes of it."""
    models = shelf.models(_text(asked, "model"))
    said = models.canvas.predict(_drawing(asked))
    seen, label = said.seen[0], int(said.label[0])
    layers = [pictures(layer[0], CHANNELS) for layer in models.explain.activations(seen)]
    return {
        "label": label,
        "seen": _packed(seen),
        "occlusion": None if label < 0 else occlusion(models.light, seen, label).round(5).tolist(),
        "layers": [{"side": layer.shape[1], "pictures": [_packed(picture) for picture in layer]} for layer in layers],
    }


def _generate(shelf: ModelStore, asked: dict[str, Any]) -> Answer:
    """New digits."""
    text = _text(asked, "labels")
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadInput(f"labels: take one to {MOST_DIGITS} digits 0..9")
    images = shelf.models(_text(asked, "model")).generator.generate(
        [int(digit) for digit in text], asked.get("seed", 0)
    )
    return {"images": [_packed(image) for image in images]}


def _walk(shelf: ModelStore, asked: dict[str, Any]) -> Answer:
    """A digit on its way from one seed's look to another's."""
    steps = asked.get("steps", 2)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= MOST_DIGITS:
        raise BadInput(f"steps: take a whole number from 2 to {MOST_DIGITS}")
    generator = shelf.models(_text(asked, "model")).generator
    images = generator.walk(asked.get("label", -1), (asked.get("from", 0), asked.get("to", 1)), steps)
    return {"images": [_packed(image) for image in images]}


def _drawing(asked: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """The drawing of a request: width, height, and base64 of its grey levels, row by row."""
    width, height = asked.get("width"), asked.get("height")
    for name, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int) or not 2 <= side <= MOST_PIXELS:
            raise BadInput(f"{name}: takes a whole number from 2 to {MOST_PIXELS}")
    assert isinstance(width, int) and isinstance(height, int)
    grey = base64.b64decode(_text(asked, "grey"), validate=True)
    if len(grey) != width * height:
        raise BadInput(f"grey: holds {len(grey):,} bytes where {width * height:,} belong")
    return np.frombuffer(grey, np.uint8).reshape(height, width)


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name}: takes text")
    return value


def _packed(image: npt.NDArray[np.uint8]) -> str:
    return base64.b64encode(image.tobytes()).decode()


class _TooLarge(Exception):
    pass


async def _body(request: Request) -> bytes:
    """The request's body, counted as it comes: its own word on its length may be wrong."""
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > MOST_BYTES:
            raise _TooLarge
        parts.append(part)
    return b"".join(parts)


class _Guarded:
    """Answers no other site's page, and tells the browser to load nothing from anywhere else."""

    HEADERS: Final = (
        (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        if origin is not None and origin.partition(b"://")[2] != host:
            refusal = JSONResponse({"error": "origin: another site's page may not ask here"}, 403)
            await refusal(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self.app(scope, receive, guarded)
