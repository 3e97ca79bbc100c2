"""A model file, loaded: its session, its card, and calls in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import BadInput, TensorType
from tenfold_onnx.model_file import card_of, open_model
from tenfold_onnx.outputs import check_type
from tenfold_onnx.printable import first_line, shown
from tenfold_onnx.session import CPU, Options, Provider, validated_options
from tenfold_onnx.shipped import shipped_models


class LoadedModel:
    """A model file with the inputs and outputs of its class.

    `path` is an .onnx file; None takes the one that comes with the package.
    `threads` limits the processor cores that a call uses: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference: names, or (name, dict of options).
    `verify` compares the file with the hash in its card. Pass False for a model that another program rewrote.
    A pickled or deep copy holds the path and these options, and opens the file again where it is unpickled.
    Raises BadInput where the file is not such a model or is damaged, and later where it returns nonsense.
    """

    inputs: ClassVar[Mapping[str, TensorType]]
    outputs: ClassVar[Mapping[str, TensorType]]
    shipped: ClassVar[str]  # name of the package's own file

    def __init__(
        self,
        path: Path | str | None = None,
        threads: int | None = None,
        providers: Sequence[Provider] = (CPU,),
        verify: bool = True,
    ) -> None:
        try:
            given = None if path is None else Path(path)
        except TypeError as error:
            raise BadInput(f"path: must be the path of an .onnx file, got {shown(path)}") from error
        self._open(given, validated_options(Options(threads, providers, verify)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _open(self, path: Path | None, options: Options) -> None:
        self.path = shipped_models() / self.shipped if path is None else path
        self.session = open_model(self.path, self.inputs, self.outputs, options)
        self.card = card_of(self.session)
        self.options = options
        # For copies: another process may have another working folder, and the package elsewhere.
        self._file = None if path is None else path.absolute()

    def __getstate__(self) -> tuple[Path | None, Options]:
        """The file and how to run it. The session stays behind: onnxruntime's cannot be copied."""
        return self._file, self.options

    def __setstate__(self, state: tuple[Path | None, Options]) -> None:
        """Open the file again. Raises BadInput."""
        self._open(*state)

    def _run(self, batch: int, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for inputs of N rows each, computed `batch` rows at a time. N may be 0."""
        parts = [
            self._call(self.outputs, *(array[start : start + batch] for array in arrays))
            for start in range(0, len(arrays[0]), batch)
        ]
        if not parts:
            return [np.empty([0, *map(int, tensor.shape[1:])], tensor.dtype) for tensor in self.outputs.values()]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _call(self, outputs: Mapping[str, TensorType], *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """These outputs for inputs of N rows each, checked for dtype and shape. Raises BadInput."""
        try:
            values = self.session.run(list(outputs), dict(zip(self.inputs, arrays, strict=True)))
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise BadInput(f"{self.path}: onnxruntime cannot run it ({first_line(error)}); export it again") from error
        for (name, tensor), value in zip(outputs.items(), values, strict=True):
            check_type(self.path, name, value, tensor, len(arrays[0]))
        return values
