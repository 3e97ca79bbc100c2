"""The page's server: a few API calls that run the models. For 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tenfold_onnx.app import STATIC
from tenfold_onnx.app.model_store import ModelStore, channel_images, occlusion
from tenfold_onnx.contract import END_OF_BETWEEN, MAX_SIDE, BadInput

MAX_BYTES: Final = 1_000_000  # of a request; a drawing of the page's is 78,400
BODY_S: Final = 10.0  # for a request's body to arrive
MAX_DIGITS: Final = 100  # drawn per request
CHANNELS: Final = 12  # shown per layer

Json = dict[str, Any]


def application(store: ModelStore) -> Starlette:
    """The page and its API, with the models of `store`."""

    def endpoint(handle: Callable[[ModelStore, Json], Json]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            try:
                query = json.loads(await _body(request))
                if not isinstance(query, dict):
                    raise BadInput("request: must be a JSON object")
                return JSONResponse(await run_in_threadpool(handle, store, query))
            except _TooLarge:
                return JSONResponse({"error": f"request: must be at most {MAX_BYTES:,} bytes"}, 413)
            except TimeoutError:
                return JSONResponse({"error": f"request: must arrive within {BODY_S:.0f} seconds"}, 408)
            except ClientDisconnect:
                return Response(status_code=400)  # which nobody reads
            except RecursionError:
                return JSONResponse({"error": "request: its JSON is nested too deeply"}, 400)
            except (BadInput, ValueError) as error:  # ValueError: not JSON, not UTF-8, not base64
                return JSONResponse({"error": str(error)}, 400)

        return respond

    def description(name: str) -> Json:
        try:
            return store.description(name)
        except BadInput as error:  # the page offers the others
            return {"name": name, "error": str(error)}

    async def models(_: Request) -> Response:
        return JSONResponse([await run_in_threadpool(description, name) for name in store.folders])

    routes = [
        Route("/api/models", models),
        *(
            Route(f"/api/{name}", endpoint(handle), methods=["POST"])
            for name, handle in (("read", _read), ("explain", _explain), ("generate", _generate))
        ),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    hosts = ["127.0.0.1", "localhost", "[::1]"]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, hosts), Middleware(_SameOrigin)])


def _read(store: ModelStore, query: Json) -> Json:
    """Label and probabilities of a drawing, and what stands side by side in it."""
    prediction = store.models(_text(query, "model")).canvas.predict(_drawing(query)[None])
    return {
        "label": int(prediction.label[0]),
        "probabilities": [round(float(p), 7) for p in prediction.probabilities[0]],
        "seen": _base64(prediction.seen[0]),
        "ink": round(float(prediction.ink[0]), 7),
        "verdict": int(prediction.verdict[0]),
        "parts": int(prediction.parts[0]),
        "boxes": prediction.boxes[0].tolist(),
    }


def _explain(store: ModelStore, query: Json) -> Json:
    """An occlusion map and the layers' activations of a drawing."""
    models = store.models(_text(query, "model"))
    prediction = models.canvas.predict(_drawing(query)[None])
    seen, label = prediction.seen[0], int(prediction.label[0])
    layers = [channel_images(layer[0], CHANNELS) for layer in models.explain.activations(seen)]
    return {
        "label": label,
        "seen": _base64(seen),
        "occlusion": None if label < 0 else occlusion(models.light, seen, label).round(7).tolist(),
        "layers": [{"side": layer.shape[1], "channels": [_base64(channel) for channel in layer]} for layer in layers],
    }


def _generate(store: ModelStore, query: Json) -> Json:
    """New digits from labels and latent vectors. The page draws these itself, so that it gets the same everywhere."""
    labels, latent = query.get("labels"), np.frombuffer(base64.b64decode(_text(query, "z"), validate=True), np.uint8)
    if not (
        isinstance(labels, list) and 1 <= len(labels) <= MAX_DIGITS and all(type(label) is int for label in labels)
    ):
        raise BadInput(f"labels: must be a list of 1 to {MAX_DIGITS} integers")
    if max(map(abs, labels)) >= END_OF_BETWEEN:
        raise BadInput(f"labels: must be digits 0..9, got {max(labels, key=abs)}")
    generator = store.models(_text(query, "model")).generator
    if latent.size != len(labels) * generator.z_dim * 4:
        raise BadInput(
            f"z: must be float32, {len(labels)} × {generator.z_dim} × 4 = {len(labels) * generator.z_dim * 4:,} bytes, "
            f"got {latent.size:,}"
        )
    z = latent.view("<f4").astype(np.float32).reshape(len(labels), generator.z_dim)
    return {"images": [_base64(image) for image in generator.generate(labels, z=z)]}


def _drawing(query: Json) -> npt.NDArray[np.uint8]:
    """The drawing uint8 (height, width) of a request, which holds base64 of the grey levels, row by row."""
    width, height = query.get("width"), query.get("height")
    for name, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int) or not 2 <= side <= MAX_SIDE:
            raise BadInput(f"{name}: must be an integer from 2 to {MAX_SIDE}")
    assert isinstance(width, int) and isinstance(height, int)
    grey = base64.b64decode(_text(query, "grey"), validate=True)
    if len(grey) != width * height:
        raise BadInput(f"grey: must be width × height = {width * height:,} bytes, got {len(grey):,}")
    return np.frombuffer(grey, np.uint8).reshape(height, width)


def _text(query: Json, name: str) -> str:
    value = query.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name}: must be a string")
    return value


def _base64(image: npt.NDArray[np.uint8]) -> str:
    return base64.b64encode(image.tobytes()).decode()


class _TooLarge(Exception):
    pass


async def _body(request: Request) -> bytes:
    """The request's body. Its size is counted while reading, since the length in its header may be wrong.

    Raises _TooLarge, and TimeoutError where it does not arrive in time.
    """
    parts, size = [], 0
    async with asyncio.timeout(BODY_S):
        async for part in request.stream():
            size += len(part)
            if size > MAX_BYTES:
                raise _TooLarge
            parts.append(part)
    return b"".join(parts)


class _SameOrigin:
    """Middleware that refuses other sites' pages, and tells the browser to load nothing from other hosts."""

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
            refusal = JSONResponse({"error": "origin: requests from other sites' pages are refused"}, 403)
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self.app(scope, receive, send_with_headers)
