"""`tenfold info` describes a model file, or every model of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import refused

from tenfold.cli import status
from tenfold.models.export import MODELS
from tenfold_onnx import shipped_models


def test_info_prints_inputs_outputs_and_card(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["info", str(finished_run / "classifier_light.onnx")]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    shown = {name.strip(): value.strip() for name, value in lines.items()}
    assert shown["input images"] == "uint8 (batch, 28, 28)" and shown["output label"] == "int64 (batch,)"
    assert shown["output probabilities"] == "float32 (batch, 10)" and shown["honest"] == "yes"
    assert status(["info", str(finished_run / "generator.onnx"), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["inputs"] == {"z": "float32 (batch, 64)", "labels": "int64 (batch,)"}
    assert table["card"]["source"] == "sample"


def test_info_describes_every_model_of_a_folder(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, folder in (([str(finished_run)], finished_run), ([], shipped_models())):
        assert status(["info", "--json", *arguments]) == 0
        described = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
        assert described == sorted(str(path) for path in folder.glob("*.onnx")) != []
    assert status(["info", str(finished_run)]) == 0
    assert capsys.readouterr().out.count("\n\nfile ") == len(MODELS) - 1
    assert "has no .onnx file" in refused("info", finished_run / "light", cwd=finished_run)
