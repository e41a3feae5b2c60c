import json
import math
import shutil
import socket

import numpy as np
import pytest
from contracts_encode import check_encoder, clip_of, noise
from tiny_models import LIMIT, save_checkpoint

from footage import ConfigError, ModelError, ModelMissing
from memory.encoders.dual import CLIP_FLOOR, DualEncoder
from memory.encoders.preprocess import Preprocess, patch_grid
from memory.encoders.registry import load_encoder

FAMILIES = ("siglip", "siglip2", "clip")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"the network was tried: {args}")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # it is our own doing that is looked at
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {family: save_checkpoint(root / f"tiny-{family}", family) for family in FAMILIES}


@pytest.fixture(scope="module")
def encoders(folders):
    return {f: DualEncoder.load(str(folders[f]), offline=True, dtype="float32", batch=2) for f in FAMILIES}


@pytest.fixture
def copied(folders, tmp_path):
    """A checkpoint of one's own to damage."""
    return shutil.copytree(folders["siglip"], tmp_path / "tiny-siglip")


def hf_images(folder, pixels):
    """What transformers' own Pillow image processor makes of the frames."""
    from transformers import AutoImageProcessor

    from memory.encoders.checkpoint import quiet

    with quiet():
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, use_fast=False)
        return processor(images=list(pixels), return_tensors="pt")


@pytest.mark.parametrize("family", FAMILIES)
def test_it_keeps_the_contract_of_an_encoder(encoders, family):
    check_encoder(encoders[family])


@pytest.mark.parametrize(("family", "patches", "width"), [("siglip", 16, 32), ("siglip2", 12, 32), ("clip", 16, 24)])
def test_it_gives_every_patch_and_one_embed_a_frame(encoders, family, patches, width):
    seen = encoders[family].encode(clip_of(noise(3, 30, 40)))
    assert seen.tokens.shape == (3, patches, 32)
    assert seen.embeds.shape == (3, width)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(32, 32), (30, 45), (90, 61)])
def test_preprocessing_agrees_with_the_image_processor_of_transformers(folders, family, size):
    pixels = noise(1, *size)
    config = json.loads((folders[family] / "config.json").read_text())
    ours, theirs = Preprocess.of(folders[family], config).inputs(pixels), hf_images(folders[family], pixels)
    if family == "siglip2":
        assert ours["spatial_shapes"].tolist() == theirs["spatial_shapes"].tolist()
        theirs["pixel_values"] = theirs["pixel_values"][:, : ours["pixel_values"].shape[1]]
    step = 1 / 255 / 0.26  # one level of 8 bits after the division by the standard deviation
    difference = np.abs(ours["pixel_values"].numpy() - theirs["pixel_values"].numpy())
    assert difference.max() <= 2 * step + 1e-5
    assert difference.mean() <= 0.2 * step


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_the_plain_model(folders, encoders, family):
    import torch
    from transformers import AutoModel

    from memory.encoders.checkpoint import quiet

    pixels = noise(2, 32, 32) if family != "siglip2" else noise(2, 24, 32)  # exact sizes: nothing to resize
    with quiet():
        model = AutoModel.from_pretrained(folders[family], local_files_only=True).float().eval()
    inputs = {k: v.float() if k == "pixel_values" else v for k, v in hf_images(folders[family], pixels).items()}
    with torch.inference_mode():
        out = model.get_image_features(**inputs)
        pooled = torch.nn.functional.normalize(out.pooler_output, dim=-1).numpy()
    seen = encoders[family].encode(clip_of(pixels))
    np.testing.assert_allclose(seen.embeds, pooled, atol=1e-4)
    patches = out.last_hidden_state[:, 1:] if family == "clip" else out.last_hidden_state
    np.testing.assert_allclose(seen.tokens, patches.half().numpy(), atol=5e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_is_embedded_as_the_plain_model_does(folders, encoders, family):
    import torch
    from transformers import AutoModel, AutoTokenizer

    from memory.encoders.checkpoint import quiet

    with quiet():
        model = AutoModel.from_pretrained(folders[family], local_files_only=True).float().eval()
        tokenizer = AutoTokenizer.from_pretrained(folders[family], local_files_only=True, padding_side="right")
    padding = {"padding": "max_length", "max_length": LIMIT} if family != "clip" else {}
    with torch.inference_mode():
        ids = tokenizer(["a red car"], return_tensors="pt", **padding)["input_ids"]
        pooled = torch.nn.functional.normalize(model.get_text_features(ids).pooler_output, dim=-1).numpy()
    np.testing.assert_allclose(encoders[family].embed_text(["a red car"]), pooled, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_close_to_float32(folders, encoders, family):
    clip = clip_of(noise(3, 40, 40))
    half = DualEncoder.load(str(folders[family]), offline=True, dtype="bfloat16")
    assert half.id == encoders[family].id
    full = encoders[family].encode(clip).embeds
    assert np.sum(full * half.encode(clip).embeds, axis=1).min() > 0.99
    assert float(encoders[family].embed_text(["a blue bus"])[0] @ half.embed_text(["a blue bus"])[0]) > 0.99


def test_siglip_reads_lower_case(encoders):
    rows = encoders["siglip"].embed_text(["A Red CAR", "a red car"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_a_long_text_is_the_mean_of_parts_cut_between_words(encoders):
    encoder = encoders["siglip"]
    words = ["red car", "blue bus", "green road", "old house"] * 6
    parts = encoder._text_inputs.split(" ".join(words))
    assert " ".join(parts) == " ".join(words)
    assert all(len(part.split()) <= LIMIT - 1 for part in parts)
    assert len(parts) == math.ceil(48 / (LIMIT - 1))
    mean = encoder.embed_text(parts).mean(axis=0)
    np.testing.assert_allclose(encoder.embed_text([" ".join(words)])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_word_beyond_the_limit_is_cut_and_the_words_after_it_are_read(encoders):
    word = "-".join(["red"] * 30)
    assert encoders["clip"]._text_inputs.split(f"{word} red car") == [word, "red car"]
    assert np.isfinite(encoders["clip"].embed_text([f"{word} red car"])).all()


def test_siglip_1_drops_punctuation_and_needs_no_sentencepiece(copied):
    path = copied / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "SiglipTokenizer"}))
    encoder = DualEncoder.load(str(copied), offline=True)
    rows = encoder.embed_text(["when does the man arrive?!", "when does the man arrive"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_tokenizers_that_pad_on_the_left_are_turned_round(copied):
    path = copied / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    encoder = DualEncoder.load(str(copied), offline=True)
    ids = encoder._text_inputs.tensors(["red"])["input_ids"][0]
    assert ids.shape == (LIMIT,)
    assert ids[-1] == 1
    assert ids[0] != 1


def test_the_floor_of_siglip_is_where_its_sigmoid_says_one_percent(encoders):
    assert encoders["siglip"].floor == pytest.approx((math.log(0.01 / 0.99) + 12.93) / math.exp(4.765), abs=1e-5)
    assert encoders["siglip"].floor == pytest.approx(0.071, abs=1e-3)
    assert encoders["clip"].floor == CLIP_FLOOR


def test_an_id_names_family_folder_size_and_weights(encoders, folders, tmp_path):
    stem, _, digest = encoders["siglip"].id.rpartition("-")
    assert stem == "siglip-tiny-siglip-32@1"
    assert len(digest) == 8
    assert encoders["siglip2"].id.startswith("siglip2-tiny-siglip2-12p@1-")
    other = save_checkpoint(tmp_path / "tiny-siglip", "siglip", seed=1)
    assert DualEncoder.load(str(other), offline=True).id.startswith("siglip-tiny-siglip-32@1-")
    assert DualEncoder.load(str(other), offline=True).id != encoders["siglip"].id
    same = shutil.copytree(folders["siglip"], tmp_path / "elsewhere" / "tiny-siglip")
    assert DualEncoder.load(str(same), offline=True).id == encoders["siglip"].id


def test_the_registry_loads_a_folder(folders):
    assert load_encoder(str(folders["clip"]), offline=True).id.startswith("clip-tiny-clip-32@1-")


def test_offline_a_hub_id_that_is_not_cached_is_missing_and_no_network_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelMissing, match="neither a folder nor in the hub cache") as caught:
        DualEncoder.load("someone/some-model", offline=True)
    assert "hf download someone/some-model" in caught.value.hint


def test_a_hub_that_cannot_be_reached_is_a_missing_model(tmp_path, monkeypatch):
    def away(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", away)
    with pytest.raises(ModelMissing, match="cannot be fetched from the hub"):
        DualEncoder.load("someone/some-model", offline=False)


def test_a_checkpoint_in_the_hub_cache_is_used_without_the_network(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repo, commit = tmp_path / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folders["siglip"], repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    assert DualEncoder.load("someone/tiny", offline=False).id.startswith("siglip-tiny-32@1-")


def test_another_kind_of_model_is_refused_with_the_kinds_that_work(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="a model of type 'bert'; expected one of siglip, siglip2, clip"):
        DualEncoder.load(str(tmp_path), offline=True)


def test_a_folder_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        DualEncoder.load(str(tmp_path), offline=True)


def test_a_checkpoint_without_weights_is_refused(copied):
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        DualEncoder.load(str(copied), offline=True)


def test_pickled_weights_are_never_read(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        DualEncoder.load(str(copied), offline=True)


def test_weights_cut_short_are_refused(copied):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        DualEncoder.load(str(copied), offline=True)


def test_weights_that_lack_a_part_of_the_model_are_refused(copied):
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    weights = {name: values for name, values in weights.items() if "vision_model.post_layernorm" not in name}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 2 weights of its own model"):
        DualEncoder.load(str(copied), offline=True)


def test_a_picture_size_that_the_tower_does_not_take_is_refused(copied):
    path = copied / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"height": 64, "width": 64}}))
    with pytest.raises(ModelError, match="pictures of 64 px for a tower of 32 px"):
        DualEncoder.load(str(copied), offline=True)


def test_gaps_in_the_preprocessing_are_filled_from_the_model(folders, copied):
    (copied / "preprocessor_config.json").unlink()
    pixels = noise(1, 40, 50)
    config = json.loads((copied / "config.json").read_text())
    whole, bare = (Preprocess.of(folder, config).inputs(pixels) for folder in (folders["siglip"], copied))
    assert np.array_equal(whole["pixel_values"], bare["pixel_values"])


def test_sizes_may_be_plain_numbers(folders, tmp_path):
    folder = shutil.copytree(folders["clip"], tmp_path / "clip")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": 32, "crop_size": 32}))
    config = json.loads((folder / "config.json").read_text())
    assert Preprocess.of(folder, config) == Preprocess.of(folders["clip"], config)


def test_a_processor_configuration_of_transformers_5_is_read(folders, copied):
    given = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "preprocessor_config.json").unlink()
    (copied / "processor_config.json").write_text(json.dumps({"image_processor": given | {"resample": 2}}))
    config = json.loads((copied / "config.json").read_text())
    assert Preprocess.of(copied, config).mode == "bilinear"


def test_an_unknown_device_or_number_format_is_refused(folders):
    with pytest.raises(ModelError, match="device 'abacus' cannot be used"):
        DualEncoder.load(str(folders["clip"]), offline=True, device="abacus")
    with pytest.raises(ConfigError, match="dtype 'float8' is not known"):
        DualEncoder.load(str(folders["clip"]), offline=True, dtype="float8")


def test_loading_leaves_the_verbosity_of_transformers_as_it_was(folders, capfd):
    from transformers.utils import logging as hf_logging

    hf_logging.set_verbosity_info()
    try:
        DualEncoder.load(str(folders["siglip"]), offline=True)
        assert hf_logging.get_verbosity() == 20
        assert hf_logging.is_progress_bar_enabled()
    finally:
        hf_logging.set_verbosity_warning()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(256, 256, (16, 16)), (100, 100, (16, 16)), (270, 480, (12, 21)), (1, 1000, (1, 256))]
)
def test_the_patch_grid_keeps_the_shape_and_the_limit(height, width, grid):
    assert patch_grid(height, width, 256) == grid


def test_a_checkpoint_without_a_tokenizer_is_refused(copied):
    (copied / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer: none of tokenizer\.json"):
        DualEncoder.load(str(copied), offline=True)


def test_a_damaged_tokenizer_is_refused(copied):
    (copied / "tokenizer.json").rename(copied / "spiece.model")
    with pytest.raises(ModelError, match="no tokenizer that can be read"):
        DualEncoder.load(str(copied), offline=True)
