"""No damaged byte of a model is used: a model file ends in the hash of everything before it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import in_process, refused, succeeded
from test_model_checks import IMAGES, MODELS, Model, answers

from digit_recognizer import rows
from tenfold_onnx import BadInput, Classifier, shipped_models
from tenfold_onnx.write.export import with_card
from tenfold_onnx.write.half import with_half_weights

ENTRY_BYTES, HASH_BYTES = 84, 64  # at a file's end: the entry with the hash, and the hash itself


def shipped(kind: Model) -> bytes:
    return (shipped_models() / kind.shipped).read_bytes()


def written(folder: Path, model: bytes) -> Path:
    (folder / "written.onnx").write_bytes(model)
    return folder / "written.onnx"


def flipped(model: bytes, bit: int) -> bytes:
    changed = bytearray(model)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("kind", MODELS)
def test_the_hash_is_the_sha256_of_all_before_it(kind: Model) -> None:
    model = shipped(kind)
    assert kind().card["content_sha256"] == hashlib.sha256(model[:-ENTRY_BYTES]).hexdigest()
    assert list(onnx.load_from_string(model).metadata_props)[-1].key == "content_sha256"


@pytest.mark.parametrize("kind", MODELS)
def test_the_shipped_models_are_what_the_writer_writes(kind: Model) -> None:
    model = shipped(kind)
    card = {entry.key: entry.value for entry in onnx.load_from_string(model[:-ENTRY_BYTES]).metadata_props}
    assert with_card(model, card) == model


@pytest.mark.parametrize("kind", MODELS)
def test_a_flipped_bit_is_refused_or_changes_no_answer(tmp_path: Path, kind: Model) -> None:
    model, rng = shipped(kind), np.random.default_rng(0)
    expected = answers(kind())
    size = 8 * len(model)
    before_the_hash = 8 * np.arange(len(model) - ENTRY_BYTES, len(model) - HASH_BYTES) + rng.integers(0, 8, 20)
    bits = np.concatenate([rng.integers(0, size, 150), rng.integers(size - 8 * 1500, size, 100), before_the_hash])
    for bit in bits.tolist():
        try:
            opened = kind(written(tmp_path, flipped(model, bit)), threads=1)
        except BadInput as refusal:
            assert "\n" not in str(refusal)
        else:
            assert all(map(np.array_equal, answers(opened), expected)), "a damaged byte was used"
            pytest.fail("a damaged model was loaded")


def test_an_exported_model_of_any_precision_is_guarded(tmp_path: Path, finished_run: Path) -> None:
    whole = (finished_run / "classifier_light.onnx").read_bytes()
    half = with_half_weights(whole)
    assert Classifier(written(tmp_path, half)).card == {}
    for model in (whole, with_card(half, {})):
        Classifier(written(tmp_path, model))
        for bit in np.random.default_rng(0).integers(0, 8 * (len(model) - ENTRY_BYTES), 50).tolist():
            with pytest.raises(BadInput, match="differ from the hash in its card"):
                Classifier(written(tmp_path, flipped(model, bit)))


def test_a_cut_model_is_refused(tmp_path: Path) -> None:
    model = shipped(Classifier)
    cuts = np.random.default_rng(0).integers(1, len(model), 50).tolist()
    # protobuf takes a file that ends between two entries of its card for a whole one
    proto = onnx.load_from_string(model)
    while len(proto.metadata_props) > 1:
        del proto.metadata_props[-1]
        cuts.append(len(proto.SerializeToString(deterministic=True)))
        assert model.startswith(proto.SerializeToString(deterministic=True))
    for length in cuts:
        with pytest.raises(BadInput):
            Classifier(written(tmp_path, model[:length]))


@pytest.mark.parametrize("block", [16, 512, 4096])
def test_a_block_of_zeros_is_refused(tmp_path: Path, block: int) -> None:
    model = shipped(Classifier)
    for start in [len(model) - block, *np.random.default_rng(0).integers(0, len(model) - block, 20).tolist()]:
        with pytest.raises(BadInput):
            Classifier(written(tmp_path, model[:start] + bytes(block) + model[start + block :]))


def test_a_damaged_model_is_named_on_the_command_line(tmp_path: Path) -> None:
    model = (shipped_models() / "generator.onnx").read_bytes()
    damaged = written(tmp_path, flipped(model, 4 * len(model)))
    assert "it is damaged" in refused("generate", "12", "--model", damaged, cwd=tmp_path)
    assert not (tmp_path / "digits.png").exists()


def rewritten_in_place(model: bytes) -> bytes:
    proto = onnx.load_from_string(model)
    proto.graph.node[0].name += "_renamed"
    return bytes(proto.SerializeToString())


def rewritten_with_an_entry(model: bytes) -> bytes:
    proto = onnx.load_from_string(model)
    proto.metadata_props.add(key="onnx.infer", value="another program")
    return bytes(proto.SerializeToString())


def other_card(model: bytes, card: dict[str, str]) -> bytes:
    proto = onnx.load_from_string(model)
    onnx.helper.set_model_props(proto, card)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize("rewrite", [rewritten_in_place, rewritten_with_an_entry])
def test_a_model_that_another_program_rewrote_is_used_only_on_request(
    tmp_path: Path, rewrite: Callable[[bytes], bytes]
) -> None:
    model = written(tmp_path, rewrite(shipped(Classifier)))
    (tmp_path / "test.csv").write_bytes(rows.render(IMAGES))
    for command in (("predict", "test.csv", "--model", model), ("info", model)):
        message = refused(*command, cwd=tmp_path)
        assert "another program rewrote it" in message and "--no-verify" in message
        assert succeeded(in_process(*command, "--no-verify", cwd=tmp_path))
    assert all(map(np.array_equal, answers(Classifier(model, verify=False)), answers(Classifier())))


@pytest.mark.parametrize("card", [{}, {"contract": "1"}, {"contract": "2", "release": "0.0.9"}], ids=str)
def test_an_older_model_or_anybodys_needs_no_hash(tmp_path: Path, card: dict[str, str]) -> None:
    opened = Classifier(written(tmp_path, other_card(shipped(Classifier), card)))
    assert opened.card == card and all(map(np.array_equal, answers(opened), answers(Classifier())))


def test_a_model_with_files_beside_it_loads(tmp_path: Path) -> None:
    proto = onnx.load_from_string(other_card(shipped(Classifier), {}))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin")
    assert (tmp_path / "weights.bin").stat().st_size > 100_000
    assert all(map(np.array_equal, answers(Classifier(tmp_path / "m.onnx")), answers(Classifier())))
