"""Families of video-language models, random and tiny: our path from pictures to logits is the library's own, dropped is masked."""

import json
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vlms import FAMILIES, make_vlm, make_words
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.smolvlm.processing_smolvlm import FRAME_TIMESTAMP_MESSAGE, _prompt_single_image
from transformers.video_utils import VideoMetadata

from footage import Carrier, ModelError, TimeSpan
from footage.costs import Meter
from footage.questions import Evidence, Question
from qa.answerers.dropping import Dropping
from qa.answerers.focusing import Focusing
from qa.answerers.prompt import fitted, rows_of, spoken
from qa.answerers.vlm import VlmAnswerer, _groups
from qa.families.family import Group, Prompt, squared
from qa.families.pictures import HALF, Pictures
from qa.families.registry import family_of, load_tower

every_family = pytest.mark.parametrize("family", FAMILIES)
QWENS = ("qwen2_5_vl", "qwen3_vl")
TIMES = (60.0, 61.3, 64.0, 64.1, 68.0, 71.7)
"""Unequal, but every second one four seconds after the one before: the library can say no more of a Qwen2.5-VL video."""
TOWERS = ("visual", "vision", "connector", "projector", "newline")
SIZE = {"smolvlm": (48, 48), "llava_onevision": (40, 40), "qwen2_5_vl": (48, 80), "qwen3_vl": (48, 80)}


class Case:
    """A family, six frames of a film seen by it, and a prompt about them."""

    def __init__(self, name: str) -> None:
        self.name, self.model, self.words = name, make_vlm(name, seed=1), make_words()
        self.family = family_of(self.model.model, tokenizer=self.words)
        self.pixels = np.random.default_rng(0).integers(0, 256, (len(TIMES), *SIZE[name], 3), dtype=np.uint8)
        self.groups = self.family.look(self.pixels, TIMES)

    def ids(self, *videos: list[Group]) -> list[int]:
        text = "moments: " + " then ".join(self.family.written(groups) for groups in videos) + " When does the red car arrive?"
        made: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return made

    def prompt(self, *videos: list[Group]) -> Prompt:
        return self.family.prompt(self.ids(*videos), videos)


@cache
def case(name: str) -> Case:
    return Case(name)


def some_of(groups: list[Group], seed: int = 1) -> tuple[list[Group], Any]:
    """Groups with about half of their tokens, and which of all tokens stayed."""
    rng = np.random.default_rng(seed)
    masks = [rng.random(len(group.tokens)) < 0.5 for group in groups]
    for mask in masks:
        mask[-1] = True
    return [group.kept(mask) for group, mask in zip(groups, masks, strict=True)], np.concatenate(masks)


def staying(given: Case, full: Prompt, kept: Any) -> Any:
    """(n,) bool: what is left of a prompt where some visual tokens were dropped; a newline token always stays."""
    stays = ~full.visual[0]
    if given.name == "llava_onevision":
        kept = np.append(kept, True)
    stays[full.visual[0]] = torch.from_numpy(kept)
    return stays


# --- the library's own path ---------------------------------------------------------------------------------------------------------


def normal(given: Case) -> Any:
    mean, std = (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD) if given.name in ("llava_onevision", "qwen2_5_vl") else (HALF, HALF)
    return torch.from_numpy(((given.pixels / 255 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)


def their_pictures(given: Case) -> dict[str, Any]:
    """What the library's processor would hand to its model; it cannot run here without torchvision, its parts can."""
    frames = normal(given)
    if given.name == "smolvlm":
        return {"pixel_values": frames[None], "pixel_attention_mask": torch.ones(1, len(frames), *frames.shape[2:], dtype=torch.bool)}
    if given.name == "llava_onevision":
        return {"pixel_values_videos": frames[None]}
    flat, *grid = Qwen3VLVideoProcessor.patchify(None, frames[None], patch_size=8, merge_size=2, temporal_patch_size=2)
    return {"pixel_values_videos": flat[0], "video_grid_thw": torch.tensor([grid])}


def their_positions(given: Case, ids: Any, *, pairs: int = 3, step_s: float = 4.0) -> Any:
    """(3, 1, n) from the library for so many pairs, so many seconds apart."""
    timed = {"second_per_grid_ts": torch.tensor([step_s])} if given.name == "qwen2_5_vl" else {}
    kinds, grid = 2 * (ids == given.model.config.video_token_id).int(), torch.tensor([[pairs, 6, 10]])
    return given.model.model.get_rope_index(ids, mm_token_type_ids=kinds, video_grid_thw=grid, **timed)[0]


@torch.inference_mode()
@every_family
def test_our_path_gives_the_logits_of_the_librarys_own(family: str) -> None:
    given = case(family)
    ours = given.prompt(given.groups)
    more = {}
    if family in QWENS:
        more["mm_token_type_ids"] = 2 * (ours.ids == given.model.config.video_token_id).int()
    if family == "qwen2_5_vl":
        more["second_per_grid_ts"] = torch.tensor([4.0])
    theirs = given.model(input_ids=ours.ids, **their_pictures(given), **more).logits
    torch.testing.assert_close(given.model(**ours.inputs).logits, theirs, atol=1e-5, rtol=0)
    blind = given.prompt([Group(np.zeros_like(g.tokens), g.time_s, g.places, g.grid) for g in given.groups])
    assert float((given.model(**blind.inputs).logits - theirs).abs().max()) > 0.1  # the pictures have a say


@torch.inference_mode()
@pytest.mark.parametrize("family", QWENS)
def test_positions_are_the_librarys_own(family: str) -> None:
    ours = case(family).prompt(case(family).groups)
    assert torch.equal(ours.positions, their_positions(case(family), ours.ids))


@torch.inference_mode()
@pytest.mark.parametrize("step_s", [0.5, 1.0, 1 / 3, 2.4, 0.083])
def test_time_is_the_first_axis_of_qwen25_whatever_the_rate(step_s: float) -> None:
    given, step = case("qwen2_5_vl"), float(np.float32(step_s))
    groups = [Group(given.groups[0].tokens, 60.1 + n * step, given.groups[0].places, given.groups[0].grid) for n in range(9)]
    ours = given.prompt(groups)
    assert torch.equal(ours.positions, their_positions(given, ours.ids, pairs=9, step_s=step_s))


@torch.inference_mode()
def test_unequal_times_of_qwen25_are_those_of_an_even_video_of_which_pairs_were_left_out() -> None:
    given, chosen = case("qwen2_5_vl"), [0, 1, 5, 6]
    every = [Group(given.groups[0].tokens, n * 1.5, given.groups[0].places, given.groups[0].grid) for n in range(7)]
    even, few = given.prompt(every), given.prompt([every[n] for n in chosen])
    kept = np.repeat(np.isin(np.arange(7), chosen), 15)
    theirs = their_positions(given, even.ids, pairs=7, step_s=1.5)
    assert torch.equal(few.positions, theirs[..., staying(given, even, kept)])
    assert few.positions[0][few.visual].unique().diff().tolist() == [3, 12, 3]  # two steps a second


@torch.inference_mode()
def test_several_stretches_of_video_stand_one_after_the_other() -> None:
    given = case("qwen2_5_vl")
    ours, first, second = given.prompt(given.groups[:2], given.groups[2:]), given.groups[:2], given.groups[2:]
    kinds, grid = 2 * (ours.ids == given.model.config.video_token_id).int(), torch.tensor([[len(v), 6, 10] for v in (first, second)])
    theirs, _ = given.model.model.get_rope_index(
        ours.ids, mm_token_type_ids=kinds, video_grid_thw=grid, second_per_grid_ts=torch.tensor([4.0, 4.0])
    )
    assert torch.equal(ours.positions, theirs)


@every_family
def test_words_around_frames_are_the_librarys_own(family: str) -> None:
    given = case(family)
    grid = {"video_grid_thw": torch.tensor([[3, 6, 10]])}
    if family == "smolvlm":
        frame = _prompt_single_image(9, "<fake_token_around_image>", "<image>", "<global-img>")
        theirs = "".join(FRAME_TIMESTAMP_MESSAGE.format(timestamp=f"01:{int(t - 60):02d}") + frame for t in TIMES)
    elif family == "llava_onevision":
        theirs = LlavaOnevisionProcessor.replace_video_token(
            SimpleNamespace(num_image_tokens=25, video_token="<video>"), {"pixel_values_videos": normal(given)[None]}, 0
        )
    elif family == "qwen2_5_vl":
        itself = SimpleNamespace(video_processor=SimpleNamespace(merge_size=2), video_token="<|video_pad|>")
        theirs = "<|vision_start|>" + Qwen2_5_VLProcessor.replace_video_token(itself, grid, 0) + "<|vision_end|>"
    else:
        itself = SimpleNamespace(
            video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2), video_token="<|video_pad|>",
            vision_start_token="<|vision_start|>", vision_end_token="<|vision_end|>",
            _calculate_timestamps=lambda *a: Qwen3VLProcessor._calculate_timestamps(None, *a),
        )  # fmt: skip
        said = VideoMetadata(total_num_frames=720, fps=10.0, frames_indices=[round(10 * t) for t in TIMES])
        theirs = Qwen3VLProcessor.replace_video_token(itself, grid | {"video_metadata": [said]}, 0)
    assert given.family.written(given.groups) == theirs


# --- dropping -----------------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
@every_family
@pytest.mark.parametrize("seed", [1, 2])
def test_dropped_is_masked_and_what_stays_keeps_its_place(family: str, seed: int) -> None:
    given = case(family)
    groups, kept = some_of(given.groups, seed)
    full, few = given.prompt(given.groups), given.prompt(groups)
    stays = staying(given, full, kept)
    assert int(few.visual.sum()) < 0.8 * int(full.visual.sum())
    assert torch.equal(few.ids[0], full.ids[0, stays])
    assert torch.equal(few.positions, full.positions[..., stays])
    masked = given.model(**full.inputs | {"attention_mask": stays.long()[None]}).logits[:, stays]
    dropped = given.model(**few.inputs).logits
    torch.testing.assert_close(dropped, masked, atol=1e-4, rtol=0)
    line = torch.arange(few.ids.shape[1]).expand_as(few.positions)
    assert float((given.model(**few.inputs | {"position_ids": line}).logits - masked).abs().max()) > 1e-2  # renumbered


@torch.inference_mode()
def test_planes_stay_with_their_tokens_and_a_shift_by_one_would_show() -> None:
    given = case("qwen3_vl")
    groups, kept = some_of(given.groups)
    few, stays = given.prompt(groups), torch.from_numpy(kept)
    theirs = given.model.model.get_video_features(**their_pictures(given)).deepstack_features
    assert len(few.planes) == len(theirs) == 3
    for plane, whole in zip(few.planes, theirs, strict=True):
        torch.testing.assert_close(plane, torch.cat(list(whole))[stays], atol=1e-5, rtol=0)
    aligned = given.model(**few.inputs).logits
    for number in range(3):
        few.planes = tuple(plane.roll(int(n == number), 0) for n, plane in enumerate(given.prompt(groups).planes))
        assert float((given.model(**few.inputs).logits - aligned).abs().max()) > 1e-2


# --- what is written ----------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
@every_family
@pytest.mark.parametrize("compressed", [False, True])
def test_generate_writes_what_a_greedy_loop_without_a_cache_writes(family: str, compressed: bool) -> None:
    given = case(family)
    groups = some_of(given.groups)[0] if compressed else given.groups
    said = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    made = given.model.generate(**given.prompt(groups).inputs, max_new_tokens=6, **said)
    ids = given.ids(groups)
    for step in made.logits:
        logits = given.model(**given.family.prompt(ids, [groups]).inputs).logits[:, -1]
        torch.testing.assert_close(step, logits, atol=1e-4, rtol=0)
        ids.append(int(logits.argmax()))
    assert made.sequences[0, -6:].tolist() == ids[-6:]


@torch.inference_mode()
@every_family
def test_tokens_whose_place_nobody_knows_are_read_too(family: str) -> None:
    given = case(family)
    width = given.groups[0].tokens.shape[1]
    ready = [Group(np.random.default_rng(n).normal(size=(count, width)).astype(np.float32), 5.0 * n) for n, count in enumerate((1, 5, 9))]
    ours = given.prompt(ready)
    assert given.model(**ours.inputs).logits.isfinite().all()
    if family not in QWENS:
        assert torch.equal(ours.positions[0], torch.arange(ours.ids.shape[1]))


@settings(deadline=None)
@given(count=st.integers(1, 300))
def test_a_square_of_so_many_tokens_is_full_row_by_row(count: int) -> None:
    places, (rows, cols) = squared(Group(np.zeros((count, 1)), 0.0))
    assert len({*map(tuple, places.tolist())}) == count
    assert places.max(0).tolist() <= [rows - 1, cols - 1]
    assert 0 <= rows * cols - count < cols


# --- the tower alone ----------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
@every_family
def test_a_tower_needs_no_weight_of_the_language_model(family: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    given = case(family)
    given.model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    seen = {name: value for name, value in weights.items() if any(part in name for part in TOWERS)}
    assert 0 < len(seen) < len(weights)
    save_file(seen, tmp_path / "model.safetensors", metadata={"format": "pt"})
    tower = load_tower(tmp_path, device=torch.device("cpu"), dtype=torch.float32)
    for ours, theirs in zip(tower.look(given.pixels, TIMES), given.groups, strict=True):
        np.testing.assert_allclose(ours.tokens, theirs.tokens, atol=1e-5)
    assert not list(tower.decoder.layers)
    name = next(name for name in seen if "bias" in name)
    save_file({n: value for n, value in seen.items() if n != name}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights of its own tower"):
        load_tower(tmp_path, device=torch.device("cpu"), dtype=torch.float32)


@every_family
def test_frames_in_any_batch_and_odd_numbers_are_the_same(family: str) -> None:
    given = case(family)
    parts = [*given.family.look(given.pixels[:2], TIMES[:2]), *given.family.look(given.pixels[2:5], TIMES[2:5])]
    for ours, whole in zip(parts[:-1], given.groups, strict=False):
        np.testing.assert_allclose(ours.tokens, whole.tokens, atol=1e-5)
        assert ours.time_s == whole.time_s
    twice = given.family.look(given.pixels[[4, 4]], (TIMES[4],) * 2)
    np.testing.assert_allclose(parts[-1].tokens, twice[-1].tokens, atol=1e-5)  # the last of an odd number is seen twice
    assert parts[-1].time_s == TIMES[4]


@every_family
@pytest.mark.parametrize("times", [(), TIMES[:5], (0, 1, 2, 3, 5, 4), (0, 1, 2, 3, 4, float("nan"))])
def test_frames_without_true_times_are_refused(family: str, times: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a time for each of 6 frames"):
        case(family).family.look(case(family).pixels, times)


@every_family
def test_placeholders_and_tokens_must_agree(family: str) -> None:
    given = case(family)
    with pytest.raises(ValueError, match="placeholders for"):
        given.family.prompt(given.ids(given.groups), [given.groups[:-1]])
    with pytest.raises(ValueError, match="wide; expected"):
        given.prompt([Group(g.tokens[:, :-1], g.time_s, g.places, g.grid) for g in given.groups])
    with pytest.raises(ValueError, match="a group needs a token"):
        given.groups[0].kept(np.zeros(len(given.groups[0].tokens), bool))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="'llama'; expected one of smolvlm"):
        load_tower(tmp_path, device=torch.device("cpu"), dtype=torch.float32)


# --- the answerer -------------------------------------------------------------------------------------------------------------------

PLACE: dict[str, Any] = {"id": "tiny@1", "device": torch.device("cpu"), "dtype": torch.float32}
ASKED = Question("When does the red car arrive?")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    for name, folder in made.items():
        case(name).model.save_pretrained(folder)
        case(name).words.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"footage": {"max_new_tokens": 8}}))
    return made


def evidence(groups: list[Group]) -> Evidence:
    """A moment shown by carriers, one a group, that begin at its time."""
    spans = [TimeSpan(group.time_s, group.time_s + 0.05) for group in groups]
    one = np.ones(1, np.float32)
    shown = tuple(
        Carrier("rec", (span,), span.start_s, span.duration_s, group.tokens.astype(np.float16), one)
        for span, group in zip(spans, groups, strict=True)
    )
    return Evidence("rec", TimeSpan(spans[0].start_s, spans[-1].end_s), 1.0, shown[0], "", shown)


@torch.inference_mode()
@every_family
def test_the_answerer_reads_carriers_of_every_family_at_their_own_times(family: str, folders: dict[str, Path]) -> None:
    given, meter = case(family), Meter()
    answerer = VlmAnswerer.load(folders[family], **PLACE)
    assert answerer.shape == given.family.shape
    groups = [Group(group.tokens.astype(np.float16).astype(np.float32), group.time_s) for group in given.groups[:3]]
    reply = "".join(answerer.stream(ASKED, [evidence(groups)], meter=meter))
    row = rows_of([evidence(groups)])
    ids = answerer.prompt(ASKED, row)
    assert given.family.written(groups) in given.words.decode(ids)
    inputs = given.family.prompt(ids, [groups]).inputs
    made = given.model.generate(**inputs, do_sample=False, max_new_tokens=8, eos_token_id=2, pad_token_id=0)[0]
    words = given.words.decode(made[len(ids) if "input_ids" in inputs else 0 :], skip_special_tokens=True).strip()
    assert reply == spoken(words, row) + " (cut: at 8 tokens)"
    assert (meter.cost.passes, meter.cost.visual_tokens) == (1, sum(len(group.tokens) for group in groups))


@torch.inference_mode()
@every_family
def test_the_answerer_drops_inside_every_family(family: str, folders: dict[str, Path]) -> None:
    said, costs = {}, {}
    for name, dropping in {"none": None, "no stage": Dropping((), min_visual=0), "some": Dropping(((0.25, 0.25),), min_visual=0)}.items():
        meter = Meter()
        answerer = VlmAnswerer.load(folders[family], **PLACE, dropping=dropping)
        said[name] = answerer.read(ASKED, rows_of([evidence(case(family).groups[:3])]), meter=meter)
        costs[name] = meter.cost
    assert said["none"] == said["no stage"]
    assert costs["none"] == costs["no stage"]
    assert costs["some"].kv_bytes < costs["none"].kv_bytes


@torch.inference_mode()
def test_planes_are_read_whether_or_not_tokens_are_dropped(folders: dict[str, Path]) -> None:
    whole, dropping = (VlmAnswerer.load(folders["qwen3_vl"], **PLACE, dropping=how) for how in (None, Dropping((), min_visual=0)))
    rows = rows_of([evidence(case("qwen3_vl").groups)])
    prompt, said = whole._placed(whole.prompt(ASKED, rows), rows), []
    for strength in (1, 50):  # at fifty times their strength they change what is written
        prompt.planes = tuple(strength * plane for plane in prompt.planes)
        made = [list(islice(reader._language.tokens(reader._language.read(prompt), ()), 8)) for reader in (whole, dropping)]
        assert made[0] == made[1]
        said.append(made[0])
    assert said[0] != said[1]


def test_times_stay_with_their_frames_when_a_row_is_thinned() -> None:
    groups = [Group(np.full((9, 4), float(n), np.float32), 10.0 * n) for n in range(9)]
    row = replace(rows_of([evidence(groups)])[0], is_nested=True)
    for budget in (36, 20, 3, 2):
        (few,) = fitted([row], budget)
        assert [group.time_s for group in _groups(few)] == [10 * float(frame[0, 0]) for frame in few.frames]
    cut = replace(row, frames=row.frames[2:4])
    assert [group.time_s for group in _groups(cut)] == [pytest.approx(40.025)] * 2  # nobody knows: the row's middle


def test_no_focus_where_planes_stand_beside_tokens(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="reads planes"):
        VlmAnswerer.load(folders["qwen3_vl"], **PLACE, focusing=Focusing("mmtok", 4))


# --- pictures -----------------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(height=st.integers(28, 1200), width=st.integers(28, 1200), budget=st.integers(4, 400))
def test_sizes_are_those_of_qwens_own_resizing(height: int, width: int, budget: int) -> None:
    ours = Pictures(HALF, HALF, step_px=28, max_tokens=budget).fitted_px(height, width)
    assert ours == smart_resize(height, width, factor=28, min_pixels=28 * 28, max_pixels=budget * 28 * 28)


def test_frames_of_another_size_are_resized_and_a_folder_says_which_values_are_normal(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]}))
    made = Pictures.of(tmp_path, HALF, HALF, side_px=16).normal(np.full((2, 30, 40, 3), 51, np.uint8))
    assert made.shape == (2, 3, 16, 16)
    np.testing.assert_allclose(made[0, :, 3, 3], [0.2, 0.0, -0.2], atol=1e-6)
    assert Pictures.of(None, HALF, HALF, step_px=16).normal(np.zeros((1, 30, 40, 3), np.uint8)).shape == (1, 3, 32, 32)


# --- full size, no weights ----------------------------------------------------------------------------------------------------------


def published(name: str) -> Any:
    """A configuration with the sizes of a released checkpoint."""
    from transformers import LlavaOnevisionConfig, Qwen2_5_VLConfig, Qwen2Config, Qwen3VLConfig, SmolVLMConfig

    seven = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    eight = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
    four = eight | {"hidden_size": 2560, "intermediate_size": 9728}
    two = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 32}
    so400m = {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "image_size": 384, "patch_size": 14}
    if name == "qwen2_5_vl":
        tower = {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584, "tokens_per_second": 2}
        return Qwen2_5_VLConfig(text_config=seven | {"vocab_size": 152064}, vision_config=tower)
    if name.startswith("qwen3_vl"):
        text = {"qwen3_vl": eight, "qwen3_vl_4b": four}[name]
        tower = {"out_hidden_size": text["hidden_size"], "deepstack_visual_indexes": [8, 16, 24] if name == "qwen3_vl" else [5, 11, 17]}
        small = {} if name == "qwen3_vl" else {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096}
        return Qwen3VLConfig(text_config=text | {"head_dim": 128}, vision_config=tower | small, tie_word_embeddings=name != "qwen3_vl")
    if name == "llava_onevision":
        return LlavaOnevisionConfig(text_config=Qwen2Config(**seven, vocab_size=152064))
    text = two | {"model_type": "llama", "vocab_size": 49280}
    return SmolVLMConfig(text_config=text, vision_config=so400m | {"num_hidden_layers": 27}, scale_factor=3)


def tokens_of_720p(name: str, model: Any, family: Any) -> int:
    """Of one frame or pair of 1280 x 720."""
    if name == "smolvlm":
        return int(model.image_seq_len)
    if name == "llava_onevision":
        return int(model.get_video_features(torch.zeros(1, 2, 3, 384, 384, device="meta")).pooler_output.shape[1]) // 2
    height, width = family.fitted_px(720, 1280)
    return height * width // (model.config.vision_config.patch_size * model.config.vision_config.spatial_merge_size) ** 2


@pytest.mark.parametrize(
    ("name", "kv_bytes", "billions", "tokens"),
    [
        ("smolvlm", 196_608, 2.247, 81),
        ("llava_onevision", 57_344, 8.03, 196),
        ("qwen2_5_vl", 57_344, 8.29, 252),
        ("qwen3_vl", 147_456, 8.77, 252),
        ("qwen3_vl_4b", 147_456, 4.44, 252),
    ],
)
def test_published_sizes_build_at_full_depth_and_cost_what_is_published(name: str, kv_bytes: int, billions: float, tokens: int) -> None:
    from transformers import AutoModelForImageTextToText

    config = published(name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    family, text = family_of(model.model), config.text_config
    assert family.shape.kv_bytes_per_token == kv_bytes
    assert len(family.decoder.layers) == family.shape.layers
    keys = family.decoder.layers[-1].self_attn.k_proj.weight
    assert tuple(keys.shape) == (kv_bytes // 4 // family.shape.layers, text.hidden_size)
    assert tuple(model.lm_head.weight.shape) == (text.vocab_size, text.hidden_size)
    assert sum(weights.numel() for weights in model.parameters()) / 1e9 == pytest.approx(billions, rel=1e-3)
    linear = sum(weights.numel() for weights in family.decoder.layers.parameters() if weights.ndim == 2)
    assert family.shape.prefill_macs(1) == linear + 2 * text.num_attention_heads * keys.shape[0] / text.num_key_value_heads * len(
        family.decoder.layers
    )
    assert tokens_of_720p(name, model.model, family._pictures) == tokens
