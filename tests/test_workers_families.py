"""Carriers of the real families, end to end: indexing writes what their towers see, asking reads it. Random tiny checkpoints."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from contracts_encode import carrier, check_encoder
from test_qa_families import published
from tiny_models import save_checkpoint
from tiny_vlms import FAMILIES, make_vlm, make_words
from typer.testing import CliRunner

from footage import Carrier, ConfigError, EncoderMismatch, ModelError, ModelMissing, Recording, Segment, SegmentMemory, TimeSpan
from footage.costs import Meter
from footage.frames import Clip
from footage.nested import nested
from footage.protocols import Answerer
from footage.questions import Evidence, Question
from memory.local_store import LocalStore
from nano import VLM
from qa.answerers.prompt import rows_of
from qa.answerers.template import TemplateAnswerer
from qa.answerers.vlm import VlmAnswerer
from qa.families.registry import load_tower
from workers import known_encoders
from workers.cli import app
from workers.engine import Library, open_library
from workers.indexing import Silent
from workers.known_encoders import Names
from workers.model_sizes import main, sizes_of, table
from workers.remember import Tools, open_source
from workers.two_towers import TwoTowers

every_family = pytest.mark.parametrize("family", FAMILIES)
SIDE, SECONDS = 96, 6
INDEX: dict[str, Any] = {
    "ocr": "off", "gate": "all", "dtype": "float32", "device": "cpu", "merger": "keep", "tokens_per_carrier": 64, "tokens": "float16"
}  # fmt: skip
QUESTION = "When is it red?"
PUBLISHED = {
    "SmolVLM2-2.2B": "smolvlm", "LLaVA-OneVision-7B": "llava_onevision", "Qwen2.5-VL-7B": "qwen2_5_vl", "Qwen3-VL-4B": "qwen3_vl_4b",
    "Qwen3-VL-8B": "qwen3_vl",
}  # fmt: skip


def save(folder: Path, family: str, *, seed: int = 0) -> Path:
    make_vlm(family, seed=seed).save_pretrained(folder)
    make_words().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"footage": {"max_new_tokens": 6}}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of blue and three of red under blocks of another grey each frame, a key frame a second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=4, options={"preset": "ultrafast", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for number in range(SECONDS * 4):
            picture = np.full((SIDE, SIDE, 3), (20, 40, 220) if number < SECONDS * 2 else (220, 30, 30), np.uint8)
            picture[: SIDE // 3] = rng.integers(0, 256, (4, 12, 1), np.uint8).repeat(8, 0).repeat(8, 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def written(folders: dict[str, Path], film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A library a family, every token kept."""
    made = {name: tmp_path_factory.mktemp("library") / name for name in FAMILIES}
    for name, place in made.items():
        with opened(place, carriers=folders[name]) as library:
            library.index(film)
    return made


def opened(place: Path, *, carriers: Path | str = "", encoder: Path | str = "color", model: Path | str = "auto", **more: Any) -> Library:
    index = INDEX | {"carriers": str(carriers), "encoder": str(encoder)} | more.pop("index", {})
    return open_library(str(place), offline=True, index=index, ask={"model": str(model), "ground": False}, **more)


def carriers_in(library: Library) -> list[Carrier]:
    view = library.memory.view()
    return view.load(range(len(view)))


@dataclass
class Overheard:
    """An answerer that remembers what it was given."""

    inner: Answerer
    evidence: list[Evidence] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.inner.id

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        self.evidence = list(evidence)
        return self.inner.stream(question, evidence, meter=meter, overview=overview)


# --- from film to answer ------------------------------------------------------------------------------------------------------------


@every_family
def test_what_a_tower_wrote_its_model_reads(family: str, folders: dict[str, Path], written: dict[str, Path]) -> None:
    with opened(written[family], model=folders[family]) as library:
        heard = Overheard(library.answerer)
        answer = library.ask(QUESTION, answerer=heard)
        assert isinstance(heard.inner, VlmAnswerer)
        rows = rows_of(heard.evidence)
        assert [c.anchor_s for c in heard.evidence[0].shown] == [3.0, 4.0, 5.0]  # color finds the red half
        assert {(m.recording_id, m.span) for m in answer.citations} <= {(e.recording_id, e.span) for e in heard.evidence}
        marks = {"smolvlm": "<image>", "llava_onevision": "<video>"}
        mark = library.answerer._tokenizer.convert_tokens_to_ids(marks.get(family, "<|video_pad|>"))  # type: ignore[attr-defined]
        placeholders = heard.inner.prompt(Question(QUESTION), rows).count(mark) - (family == "llava_onevision")  # one is a newline token
    assert answer.model.startswith(folders[family].name + "@")
    assert answer.text
    assert (answer.cost.passes, answer.cost.visual_tokens) == (1, placeholders)
    assert placeholders == sum(len(c.tokens) for c in heard.evidence[0].shown) > 3
    assert answer.warnings == ()


@torch.inference_mode()
@every_family
def test_what_is_read_gives_the_logits_of_the_pixels(family: str, folders: dict[str, Path], written: dict[str, Path], film: Path) -> None:
    with opened(written[family], model=folders[family]) as library:
        heard = Overheard(library.answerer)
        library.ask(QUESTION, answerer=heard)
        (row,), answerer = rows_of(heard.evidence), heard.inner
        source = open_source(str(film), library.settings)
        (clip,) = source.clips(next(source.segments()))
    assert isinstance(answerer, VlmAnswerer)
    assert isinstance(clip, Clip)
    seen = np.isin(clip.anchors_s, row.times_s)
    times, tower = list(row.times_s), answerer._family
    groups = tower.look(clip.pixels[seen].repeat(tower.frames_together, 0), np.repeat(times, tower.frames_together).tolist())
    ids = answerer.prompt(Question(QUESTION), [row])
    halves = [replace(group, tokens=group.tokens.astype(np.float16).astype(np.float32)) for group in groups]
    ours = answerer._model(**answerer._placed(ids, [row]).inputs).logits
    theirs = answerer._model(**tower.prompt(ids, [halves]).inputs).logits
    exact = answerer._model(**tower.prompt(ids, [groups]).inputs).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    scale = float(exact.abs().max())
    assert float((ours - exact).abs().max()) < 1e-2 * scale  # what float16 costs
    shuffled = [replace(group, tokens=group.tokens[::-1].copy()) for group in halves]
    assert float((answerer._model(**tower.prompt(ids, [shuffled]).inputs).logits - theirs).abs().max()) > 1e-3 * scale


# --- writing ------------------------------------------------------------------------------------------------------------------------


@every_family
def test_it_keeps_the_contract_of_an_encoder(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = Tools.build(opened(tmp_path, carriers=folders[family], encoder=save_checkpoint(tmp_path / "clip", "clip")).settings).encoder
    assert isinstance(encoder, TwoTowers)
    check_encoder(encoder)
    assert encoder.id.startswith("clip-clip-32@1-")
    assert f"+{folders[family].name}@1-" in encoder.id


@every_family
def test_indexing_never_loads_the_language_model(family: str, folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(folders[family], tmp_path / "tower")
    weights = load_file(folder / "model.safetensors")
    tower = {n: w for n, w in weights.items() if not any(part in n for part in ("language_model", "text_model", "lm_head"))}
    assert 0 < len(tower) < len(weights)
    save_file(tower, folder / "model.safetensors", metadata={"format": "pt"})
    with opened(tmp_path / "library", carriers=folder) as library:
        assert library.tools.encoder._tower.cache_info().currsize == 0  # type: ignore[attr-defined]  # not before it looks
        library.index(film)
        assert len(carriers_in(library)) == SECONDS
        loaded = library.tools.encoder._tower()._body  # type: ignore[attr-defined]
    held = sum(p.numel() for p in loaded.parameters())
    assert held < sum(w.numel() for w in tower.values()) + 200  # a word and a norm of nothing
    with opened(tmp_path / "library", model=folder) as library, pytest.raises(ModelError, match=r"lacks \d+ weights of its own model"):
        library.ask(QUESTION)


@pytest.mark.parametrize("merger", ["details", "mean", "tome"])
def test_planes_stay_in_the_row_of_their_token(merger: str, folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    whole, short = {}, {}
    for name, every in (("keep", whole), (merger, short)):
        with opened(tmp_path / name, carriers=folders["qwen3_vl"], index={"merger": name, "tokens_per_carrier": 8}) as library:
            library.index(film)
            every |= {c.anchor_s: c for c in carriers_in(library)}
    assert {made.tokens.shape for made in whole.values()} == {(36, 32 * 4)}
    assert sum(len(c.tokens) for c in short.values()) <= 8 * SECONDS
    for time_s, made in short.items():
        rows, kept = whole[time_s].tokens.astype(np.float32), made.tokens.astype(np.float32)
        if merger == "details":
            assert np.array_equal(made.tokens, nested(rows, 8).astype(np.float16))
            assert all((rows == row).all(1).any() for row in kept[1:])
        elif merger == "tome":  # a mix of whole rows: of 36 rows and 128 columns not every row is one
            shares = np.linalg.lstsq(rows.T, kept.T, rcond=None)[0]
            np.testing.assert_allclose(shares.T @ rows, kept, atol=2e-3 * np.abs(rows).max())
            shares = np.linalg.lstsq(rows.T, np.roll(kept, 32, 1).T, rcond=None)[0]
            assert np.abs(shares.T @ rows - np.roll(kept, 32, 1)).max() > 0.1 * np.abs(rows).max()
        else:
            together = np.mean([each.tokens.astype(np.float32) for each in whole.values()], 0)
            np.testing.assert_allclose(kept, together, atol=2e-3 * np.abs(rows).max())


def test_rows_as_wide_as_those_of_large_models_are_kept(tmp_path: Path) -> None:
    width, rng = 4096 * 4, np.random.default_rng(0)
    wide = [carrier(n, n + 1, rng.normal(size=(16, width)), [1.0, 0.0]) for n in range(3)]
    with LocalStore(tmp_path / "store") as store:
        store.add(Recording("rec", 3.0, 64, 64, "h264", 3), "film")
        store.commit(SegmentMemory(Segment("rec", 0, TimeSpan(0, 3)), tuple(wide)), generation="g", encoder_id="e@1")
        view = store.view(generation="g")
        for kept, made in zip(view.load(range(3)), wide, strict=True):
            assert np.array_equal(kept.tokens, made.tokens)
        assert store.sizes("rec") < 3 * 16 * width * 2 + 20_000


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_is_made_good_and_generations_stay_apart(jobs: int, folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    class Impatient(Silent):
        def advanced(self, name: str, seconds: float) -> None:
            raise KeyboardInterrupt

    def indexed(place: str, family: str, **more: Any) -> Any:
        with opened(tmp_path / place, carriers=folders[family], sampling={"segment_s": 2.0}) as library:
            (done,) = library.index(film, **more)
            return done, [row for row in library.dump() if row.get("generation") == library.tools.generation]

    with pytest.raises(KeyboardInterrupt):
        indexed("library", "qwen3_vl", listener=Impatient())
    other, _ = indexed("library", "smolvlm")
    assert (other.segments_made, other.segments_kept) == (3, 0)
    resumed, rows = indexed("library", "qwen3_vl", jobs=jobs)
    assert (resumed.segments_made, resumed.segments_kept) == (2, 1)
    straight, expected = indexed("straight", "qwen3_vl")
    assert straight.segments_made == 3
    assert rows == expected != []
    with opened(tmp_path / "library", model=folders["smolvlm"]) as library:
        assert {c.tokens.shape for c in carriers_in(library)} == {(9, 32)}
    with opened(tmp_path / "library", model=folders["qwen3_vl"]) as library:
        assert {c.tokens.shape for c in carriers_in(library)} == {(36, 128)}


def test_a_generation_is_named_by_all_that_makes_the_tokens(folders: dict[str, Path], tmp_path: Path) -> None:
    def generation(**index: Any) -> str:
        return Tools.build(opened(tmp_path, index=index).settings).generation

    first, second = str(folders["qwen2_5_vl"]), str(folders["qwen3_vl"])
    ways = [{}, {"carriers": first}, {"carriers": second}, {"carriers": first, "dtype": "bfloat16"}, {"carriers": first, "encoder": "nano"}]
    assert len({generation(**way) for way in ways}) == len(ways)
    assert generation(dtype="bfloat16") == generation()  # colours have none


@pytest.mark.parametrize("kind", ["clip", "nano", "unmixed", "nothing"])
def test_what_has_no_such_tower_is_refused_before_anything_is_written(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    if kind == "unmixed":
        folder = shutil.copytree(folders["smolvlm"], tmp_path / kind)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"scale_factor": 1}))
    else:
        folder = {"clip": tmp_path / "clip", "nano": VLM, "nothing": tmp_path / "nothing"}[kind]
    if kind == "clip":
        save_checkpoint(folder, "clip")
    told = {"clip": "carriers are made by one of smolvlm", "nothing": "there is no folder"}.get(kind, "reads the carriers of an encoder")
    with opened(tmp_path / "library", carriers=folder) as library, pytest.raises((ModelError, ModelMissing), match=told):
        library.index("synthetic:red=2")
    with opened(tmp_path / "library") as library:
        assert library.recordings() == []


# --- whose carriers these are -------------------------------------------------------------------------------------------------------


def test_another_model_is_refused_before_it_is_loaded_and_told_whose_carriers_these_are(
    folders: dict[str, Path], written: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engine.load_answerer", lambda *given: pytest.fail("it was loaded"))
    wrote = folders["qwen3_vl"]
    for model in (folders["qwen2_5_vl"], save(tmp_path / "other weights", "qwen3_vl", seed=1)):
        with opened(written["qwen3_vl"], model=model) as library, pytest.raises(ConfigError) as told:
            library.ask(QUESTION)
        assert f"the carriers of this library were written by {wrote.name}@1-" in str(told.value)
        assert told.value.hint == f"ask with --model {wrote}, or index again with --carriers {model}"
    with (
        opened(written["qwen3_vl"], model="nano") as library,
        pytest.raises(ConfigError, match="reads carriers of encoder sig") as told,
    ):
        library.ask(QUESTION)
    assert told.value.hint == f"ask with --model {wrote}"
    with opened(tmp_path / "plain") as library:
        library.index("synthetic:red=2")
    with opened(tmp_path / "plain", model=wrote) as library, pytest.raises(ConfigError, match=r"were written by color@1") as told:
        library.ask(QUESTION)
    assert f"index again with --carriers {wrote}" in told.value.hint


def test_auto_is_the_checkpoint_that_wrote_or_says_that_it_is_gone(folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    folder, place = shutil.copytree(folders["smolvlm"], tmp_path / "mine"), tmp_path / "library"
    with opened(place, carriers=folder) as library:
        library.index(film)
    with opened(place) as library:
        assert library.ask(QUESTION).model.startswith("mine@")
    moved = folder.rename(tmp_path / "moved")
    with opened(place, model=moved) as library:
        assert library.ask(QUESTION).model.startswith("moved@")  # its content says which it is
    from PIL import Image

    Image.new("RGB", (32, 32), (220, 30, 30)).save(tmp_path / "red.png")
    save(folder, "smolvlm", seed=1)
    for why in ("has changed since", "is not on this machine"):
        with opened(place) as library:
            answer = library.ask(QUESTION)
            assert isinstance(library.answerer, TemplateAnswerer)
            (found, *_) = library.search_image(tmp_path / "red.png")
        assert answer.citations[0].span.start_s == found.span.start_s == 3.0
        (note,) = answer.warnings
        assert note.startswith("no model reads the pictures: ")
        assert why in note
        if why.startswith("has"):
            shutil.rmtree(folder)
    with opened(place, model=folder) as library, pytest.raises(ModelMissing):
        library.ask(QUESTION)


def test_several_generations_of_a_library_are_asked_by_name(folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    first, second = folders["llava_onevision"], folders["qwen2_5_vl"]
    for carriers in (first, second):
        with opened(tmp_path, carriers=carriers) as library:
            library.index(film)
    with opened(tmp_path) as library, pytest.raises(EncoderMismatch) as told:
        library.ask(QUESTION)
    assert f"--encoder color --carriers {first}" in told.value.hint or f"--encoder color --carriers {second}" in told.value.hint
    for more in ({"model": first}, {"carriers": first}):
        with opened(tmp_path, **more) as library:
            assert library.ask(QUESTION).model.startswith(first.name)
    with opened(tmp_path) as library:  # the encoder itself joins them, and is what nobody has to name
        library.index(film)
    with opened(tmp_path) as library:
        assert library.ask(QUESTION).model == "template"
    with opened(tmp_path, model=second) as library:
        assert library.ask(QUESTION).model.startswith(second.name)


def test_nano_finds_for_another_and_does_not_read_for_it(folders: dict[str, Path], film: Path, tmp_path: Path) -> None:
    with opened(tmp_path, carriers=folders["smolvlm"], encoder="nano") as library:
        library.index(film)
    with opened(tmp_path) as library:
        assert library.encoder.id.startswith("siglip-nano-tower-")
        assert library.answerer.id.startswith(folders["smolvlm"].name)
        assert {c.tokens.shape for c in carriers_in(library)} == {(9, 32)}
    with opened(tmp_path, encoder="nano") as library:
        assert library.answerer.id.startswith(folders["smolvlm"].name)
    with opened(tmp_path, model="nano") as library, pytest.raises(ConfigError, match="reads carriers of encoder"):
        library.ask(QUESTION)


def test_encoders_that_a_library_remembers_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "encoders.json").write_text('{"color@1": "color", "siglip-a-224@1-0": "owner/a"}')
    store = LocalStore(tmp_path)
    known_encoders.keep(store, "color@1+b@1-1", Names("color", "owner/b"))
    every = known_encoders.known(store)
    assert every == {"color@1": Names("color"), "siglip-a-224@1-0": Names("owner/a"), "color@1+b@1-1": Names("color", "owner/b")}
    assert [str(names) for names in every.values()] == ["color", "owner/a", "color --carriers owner/b"]
    chosen = [
        known_encoders.chosen(store, written, opened(tmp_path, model=model).settings)
        for written, model in ((every, "auto"), (every, "owner/b"), (["siglip-a-224@1-0"], "owner/b"), (["unknown@1"], "auto"))
    ]
    assert [found and found[0] for found in chosen] == [None, "color@1+b@1-1", "siglip-a-224@1-0", None]


# --- the command line ---------------------------------------------------------------------------------------------------------------


def test_two_commands_from_film_to_answer(folders: dict[str, Path], film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTAGE_INDEX__OCR", "off")
    run, folder = CliRunner(), folders["qwen3_vl"]
    monkeypatch.chdir(folder.parent)  # named from here, read from elsewhere
    made = run.invoke(app, ["index", str(film), "-l", str(tmp_path / "library"), "--carriers", folder.name, "--jobs", "1", "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["carriers"] > 0
    monkeypatch.chdir(tmp_path)
    asked = run.invoke(app, ["ask", QUESTION, "-l", "library", "--json"])
    assert asked.exit_code == 0, asked.output
    answer = json.loads(asked.stdout)
    assert answer["model"].startswith(folder.name)
    assert answer["cost"]["visual_tokens"] > 0
    for verb in ("index", "ask", "search"):
        assert "--carriers" in run.invoke(app, [verb, "--help"]).output


# --- sizes --------------------------------------------------------------------------------------------------------------------------


def test_the_table_of_sizes_is_what_the_configurations_give() -> None:
    sizes = {name: sizes_of(published(key)) for name, key in PUBLISHED.items()}
    assert table(sizes) in (Path(__file__).parents[1] / "docs" / "models.md").read_text()
    assert sizes["Qwen3-VL-8B"].row == 4 * 4096
    assert 0 < sizes["Qwen3-VL-8B"].tower < 0.1 * sizes["Qwen3-VL-8B"].whole
    assert sizes["Qwen3-VL-8B"].fit(16) == 0 < sizes["Qwen3-VL-4B"].fit(16) < sizes["Qwen3-VL-4B"].fit(24)


@every_family
def test_what_indexing_loads_is_what_sizes_count(family: str, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    given = load_tower(folders[family], device=torch.device("cpu"), dtype=torch.float32)
    sizes, body = sizes_of(given._body.config.__class__.from_pretrained(folders[family])), given._body  # type: ignore[attr-defined]
    assert sizes.tower == sum(p.numel() for p in body.parameters()) - sum(p.numel() for p in given.decoder.parameters())
    assert sizes.row == given.look(np.zeros((2, SIDE, SIDE, 3), np.uint8), (0.0, 1.0))[0].tokens.shape[1]
    main([str(folders[family])])
    assert f"| {folders[family].name} | 0.0 GB" in capsys.readouterr().out
