"""onnxruntime's sessions: a model file opened with checked options, or one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime as ort

from tenfold_onnx.arguments import validated_integer
from tenfold_onnx.content_hash import CONTENT_HASH, ends_in_hash, is_intact
from tenfold_onnx.contract import WITHOUT_HASH, BadInput
from tenfold_onnx.printable import first_line, shown

Provider = str | tuple[str, Mapping[str, Any]]  # onnxruntime's execution provider: its name, or name and options
CPU: Final = "CPUExecutionProvider"
MAX_THREADS: Final = 1024  # onnxruntime starts them all at once; more take long, or end the process


class Options(NamedTuple):
    """How a model is run, for `validated_options` to check."""

    threads: int | None = None
    providers: Sequence[Provider] = (CPU,)
    verify: bool = True


def validated_options(options: Options) -> Options:
    """The options as onnxruntime takes them. Raises BadInput."""
    threads, providers, verify = options
    if threads is not None:
        threads = validated_integer(threads, "threads", 1, MAX_THREADS)
    if not isinstance(verify, bool | np.bool_):
        raise BadInput(f"verify: must be True or False, got {shown(verify)}")
    listed = list(providers) if isinstance(providers, list | tuple) else []
    if not listed:
        raise BadInput(f"providers: must be a list of names, such as [{CPU!r}], got {shown(providers)}")
    return Options(threads, [_provider(entry) for entry in listed], bool(verify))


def open_session(path: Path, options: Options) -> ort.InferenceSession:
    """A session of the model at `path`, with options from `validated_options`. Raises BadInput.

    With `verify`, a file whose bytes differ from the hash in its card is refused.
    """
    model = _read(path)
    if options.verify and ends_in_hash(model) and not is_intact(model):
        raise _changed(path)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # errors only: the wheel warns about hardware that it cannot inspect
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    # The bytes that were checked are the ones that run. Other models may name files beside them, which onnxruntime
    # finds by the model's path; it takes only paths in UTF-8.
    in_utf8 = str(path).encode(errors="ignore") == os.fsencode(path)
    source = str(path) if in_utf8 and not ends_in_hash(model) else model
    try:
        # Without its fallback, which would print to standard output and use other providers than those wanted.
        session = ort.InferenceSession(source, settings, providers=options.providers, enable_fallback=0)
        card = session.get_modelmeta().custom_metadata_map  # fails where it is no UTF-8
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise BadInput(f"{path}: cannot be loaded as an ONNX model ({first_line(error)}); export it again") from error
    hash_is_due = CONTENT_HASH in card or card.get("contract", "1") not in WITHOUT_HASH
    if options.verify and hash_is_due and not ends_in_hash(model):
        raise _changed(path)  # it was cut off, or another program has moved it
    return session


def _provider(entry: Any) -> Provider:
    """A provider's name, or its name and options. Raises BadInput."""
    name, options = entry if isinstance(entry, list | tuple) and len(entry) == 2 else (entry, {})
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise BadInput(f"providers: must be names, or pairs of a name and a dict of options, got {shown(entry)}")
    available = ort.get_available_providers()
    if name not in available:
        raise BadInput(f"providers: {name} is not in this onnxruntime; choose from {', '.join(available)}")
    return (name, dict(options)) if options else name


def _read(path: Path) -> bytes:
    """The bytes of a model file. Raises BadInput."""
    try:
        if path.is_dir():
            models = ", ".join(str(model) for model in sorted(path.glob("*.onnx"))) or "it has none"
            raise BadInput(f"{path}: is a folder; give one .onnx file ({models})")
        if not path.is_file():
            raise BadInput(
                f"{path}: there is no such model file; give an exported .onnx file (on the command line --model)"
            )
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give another file") from error


def _changed(path: Path) -> BadInput:
    return BadInput(
        f"{path}: its bytes differ from the hash in its card: it is damaged, or another program rewrote it; export it "
        "again, or skip this check (predict, generate and info: --no-verify; in Python: verify=False)"
    )
