"""A model is labelled with the oldest versions that it needs, and never with older ones."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from tenfold_onnx.contract import IR, OPSET
from tenfold_onnx.write.label import LabelError, with_oldest_label


def one_operator(operator: str, opset: int, element: int = TensorProto.FLOAT, **attributes: object) -> ModelProto:
    x, y = (helper.make_tensor_value_info(name, element, ["batch", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "graph", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("opset", [14, 18, 20])
def test_an_operator_that_no_version_changed_gets_the_oldest_label(opset: int) -> None:
    model = with_oldest_label(one_operator("Relu", opset))
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (IR, [("", OPSET)])
    assert helper.find_min_ir_version_for(model.opset_import) == IR


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one_operator("Gelu", 20), f"Gelu: is not in opset {OPSET}"),  # new in 20
        (one_operator("Cast", 20, to=TensorProto.FLOAT), "Cast: opset 20 changed it"),
        (one_operator("ReduceMax", 13, axes=[1]), "ReduceMax: opset 13 changed it"),  # axes is an input from 18 on
    ],
)
def test_an_operator_that_a_version_changed_is_refused(model: ModelProto, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        with_oldest_label(model)


def test_operators_of_others_are_refused() -> None:
    model = one_operator("Relu", OPSET)
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(LabelError, match=r"com\.microsoft\.Relu: is not one of ONNX's own"):
        with_oldest_label(model)


def add_float8(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("weights", TensorProto.FLOAT8E4M3FN, [1], [1.0]))


def add_overload(model: ModelProto) -> None:
    model.graph.node[0].overload = "other"


@pytest.mark.parametrize(("change", "field"), [(add_float8, "data_type"), (add_overload, "overload")])
def test_what_old_files_cannot_hold_is_refused(change: Callable[[ModelProto], None], field: str) -> None:
    model = one_operator("Relu", OPSET)
    change(model)
    with pytest.raises(LabelError, match=f"{field}: is newer than IR version {IR}"):
        with_oldest_label(model)


def test_notes_in_the_graph_are_removed_and_the_card_stays() -> None:
    model = one_operator("Relu", OPSET)
    helper.set_model_props(model, {"card": "stays"})
    for part in (model.graph, model.graph.node[0], model.graph.input[0]):
        part.metadata_props.add(key="path", value="/home/somebody")
        part.doc_string = "/home/somebody"
    model = with_oldest_label(model)
    assert b"somebody" not in model.SerializeToString() and model.metadata_props[0].value == "stays"
    onnx.checker.check_model(model, full_check=True)
