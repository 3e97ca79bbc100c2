"""An exported model computes what torch does, is the same bytes each time, and holds no trace of the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tenfold.evaluation import cross_validation
from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier
from tenfold.settings import Cgan, Net
from tenfold_onnx.contract import CONTRACT_VERSION, IR, OPSET
from tenfold_onnx.inputs import labels_between
from tenfold_onnx.write import graphs
from tenfold_onnx.write.export import export_classifier, export_generator, export_module, with_card
from tenfold_onnx.write.graphs import Ensemble, ImageGenerator
from tenfold_onnx.write.parity import ParityError, check_classifier, check_generator

CGAN = Cgan(width=4, z_dim=6)


def randomised(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A net of seeded weights whose BatchNorm is not the identity, with logits as moderate as a trained net's."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build()
        for value in module.state_dict().values():
            if value.is_floating_point() and value.ndim == 1:
                value.copy_(value + 0.3 * torch.rand(value.shape))
    return module.eval()


@pytest.fixture(scope="module")
def members() -> list[nn.Module]:
    return [randomised(lambda: Classifier(Net((6, 8, 10))), seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def classifier(members: list[nn.Module]) -> bytes:
    return with_card(export_classifier(members, 0.7), {"honest": "yes"})


@pytest.fixture(scope="module")
def generator() -> bytes:
    return with_card(export_generator(randomised(lambda: Generator(CGAN), 3), CGAN.z_dim), {})


def test_inputs_and_outputs_follow_the_contract(classifier: bytes, generator: bytes) -> None:
    session = ort.InferenceSession(classifier, providers=["CPUExecutionProvider"])
    assert [(node.name, node.type, node.shape[1:]) for node in session.get_inputs()] == [
        ("images", "tensor(uint8)", [28, 28])
    ]
    assert [(node.name, node.type) for node in session.get_outputs()] == [
        ("probabilities", "tensor(float)"),
        ("label", "tensor(int64)"),
    ]
    session = ort.InferenceSession(generator, providers=["CPUExecutionProvider"])
    assert [(node.name, node.type) for node in session.get_inputs()] == [
        ("z", "tensor(float)"),
        ("labels", "tensor(int64)"),
    ]
    assert [(node.name, node.type, node.shape[1:]) for node in session.get_outputs()] == [
        ("images", "tensor(uint8)", [28, 28])
    ]


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 129])
def test_the_ensemble_is_the_mean_of_its_members(classifier: bytes, members: list[nn.Module], batch: int) -> None:
    images = np.random.default_rng(batch).integers(0, 256, (batch, 28, 28), dtype=np.uint8)
    probabilities, labels = ort.InferenceSession(classifier, providers=["CPUExecutionProvider"]).run(
        None, {"images": images}
    )
    with torch.inference_mode():
        x = torch.from_numpy(images).float()[:, None] / 255
        expected = np.mean([member(x).softmax(1).numpy() for member in members], axis=0) ** (1 / 0.7)
        expected /= expected.sum(1, keepdims=True)
    assert probabilities == pytest.approx(expected, abs=1e-5)
    assert (labels == expected.argmax(1)).all()


def test_the_same_members_give_the_same_bytes(members: list[nn.Module], classifier: bytes) -> None:
    again = export_classifier(members, 0.7)
    assert with_card(again, {"honest": "yes"}) == with_card(classifier, {"honest": "yes"}) == classifier
    assert with_card(again, {"honest": "no"}) != classifier
    assert export_classifier(members, 0.8) != again


def test_a_model_is_one_valid_file_with_its_opset_and_card(classifier: bytes, generator: bytes) -> None:
    for data in (classifier, generator):
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        assert model.ir_version == IR
        assert not any(tensor.external_data for tensor in model.graph.initializer)
    card = ort.InferenceSession(classifier, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    assert card["honest"] == "yes" and card["contract"] == CONTRACT_VERSION and card["opset"] == str(OPSET)


def test_no_trace_of_the_building_machine_is_inside(classifier: bytes, generator: bytes) -> None:
    home = str(Path(__file__).resolve().parents[1]).encode()
    for data in (classifier, generator):
        for trace in (home, b"site-packages", b".py", b"stack_trace"):
            assert trace not in data


def test_batch_norm_and_dropout_are_folded_away(classifier: bytes) -> None:
    kinds = {node.op_type for node in onnx.load_from_string(classifier).graph.node}
    assert "BatchNormalization" not in kinds and "Dropout" not in kinds


def test_a_model_of_other_weights_fails_parity(classifier: bytes, generator: bytes) -> None:
    with pytest.raises(ParityError, match="probabilities differ"):
        check_classifier(Ensemble([randomised(lambda: Classifier(Net((6, 8, 10))), 9)]).eval(), classifier)
    with pytest.raises(ParityError, match="images differ"):
        check_generator(ImageGenerator(randomised(lambda: Generator(CGAN), 8)).eval(), CGAN.z_dim, generator)


def test_a_module_in_training_mode_is_refused() -> None:
    net = Classifier(Net((6, 8, 10)))
    model = Ensemble([net]).train()
    with pytest.raises(ValueError, match="training mode"):
        export_module(model, (torch.zeros(2, 28, 28, dtype=torch.uint8),), ["images"], ["probabilities", "label"])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1, width=32), min_size=10, max_size=10).filter(any), min_size=1, max_size=5),
    st.floats(0.1, 10),
)
def test_numpy_and_the_graph_temper_alike(weights: list[list[float]], temperature: float) -> None:
    rows = np.array(weights)
    probabilities = (rows / rows.sum(1, keepdims=True)).astype(np.float32)
    in_graph = graphs.tempered(torch.from_numpy(probabilities), temperature).numpy()
    assert cross_validation.tempered(probabilities, temperature) == pytest.approx(in_graph, abs=1e-5)
    most_likely = probabilities == probabilities.max(1, keepdims=True)
    assert (np.where(most_likely, in_graph, 1).min(1) >= in_graph.max(1) - 1e-6).all()  # no label changes


def test_a_label_between_two_digits_mixes_their_classes(generator: bytes) -> None:
    net = randomised(lambda: Generator(CGAN), 3)
    assert isinstance(net, Generator)
    z = np.random.default_rng(0).standard_normal((4, CGAN.z_dim), dtype=np.float32)
    labels = labels_between(3, 8, [0, 0.25, 0.999, 1])
    images = ort.InferenceSession(generator, providers=["CPUExecutionProvider"]).run(None, {"z": z, "labels": labels})[
        0
    ]
    share = torch.tensor([[0], [0.25], [0.999], [1]])
    with torch.inference_mode():
        start, end = net.embedding(torch.tensor([3, 8]))
        expected = net.draw(torch.from_numpy(z), start + share * (end - start)).squeeze(1).mul(255).round().numpy()
    assert np.abs(images - expected).max() <= 1


def test_a_generator_compares_no_truth_values(generator: bytes) -> None:
    """OpenCV, tract and TVM refuse it."""
    assert "Equal" not in {node.op_type for node in onnx.load_from_string(generator).graph.node}


def test_every_label_between_two_digits_is_taken_apart_exactly() -> None:
    start, end, thousandths = (part.flatten() for part in np.mgrid[:10, :10, 1:1000])
    labels = start + 10 * end + 100 * thousandths
    mixed: list[torch.Tensor] = []

    class Recorder(nn.Module):
        """In place of a generator: a label's class vector is the label itself."""

        def embedding(self, labels: torch.Tensor) -> torch.Tensor:
            return labels.unsqueeze(1).double()

        def draw(self, z: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
            mixed.append(classes.squeeze(1))
            return torch.zeros(len(classes), 1, 28, 28)

    ImageGenerator(Recorder())(torch.zeros(len(labels), 1), torch.from_numpy(labels))
    assert mixed[0].numpy() == pytest.approx(start + thousandths / 1000 * (end - start), abs=1e-6)


@pytest.mark.parametrize("label", [-11, 10, 99, 100_000])
def test_the_graph_refuses_other_labels(generator: bytes, label: int) -> None:
    session = ort.InferenceSession(generator, providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="indices element out of data bounds"):
        session.run(None, {"z": np.zeros((1, CGAN.z_dim), np.float32), "labels": np.array([label])})
