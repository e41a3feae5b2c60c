"""Bytes at rest: every form of the same footage, held against all tokens of all sampled frames, and the setting that picks one."""

import json
from pathlib import Path
from typing import Any

import colour_film
import numpy as np
import pytest

from memory.quantized import exact_int8
from workers.bench_stored import COLD, FORMS, HOT, TOWERS, StoredRun, run_stored
from workers.engine import open_library

COLOURS = "red blue green red blue green red blue"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_film.write(tmp_path_factory.mktemp("films") / "colours.mp4", COLOURS, each_s=2)


@pytest.fixture(scope="module")
def rows(film: Path) -> dict[tuple[str, str], dict[str, Any]]:
    report = run_stored(StoredRun((film,)))
    assert {check["bar"] for check in report.checks} == {0.95, 0.995}
    assert json.dumps(report.facts())
    return {(row["tower"], row["kept as"]): dict(row) for row in report.rows}


def test_every_form_of_every_tower_is_told(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert len(rows) == len(TOWERS) * (len(FORMS) + 2)
    assert {HOT, COLD} < set(FORMS)


@pytest.mark.parametrize("tower", TOWERS, ids=lambda tower: tower.name)
def test_bytes_are_those_of_the_shapes(tower: Any, rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    def bytes_of(form: str) -> float:
        return float(rows[tower.name, form]["bytes an hour"])

    assert bytes_of("all tokens of all frames, float16") == pytest.approx(3600 * 2 * tower.tokens * tower.width, rel=0.01)
    for coarser, finer in (("1 token", "4 tokens"), ("4 tokens", "16 tokens")):
        assert bytes_of(f"{coarser}, int8") < bytes_of(f"{finer}, int8") < bytes_of(f"{finer}, float16")
    more = bytes_of("16 tokens, float16") - bytes_of("4 tokens, float16")
    kept = more / (12 * 2 * tower.width)  # frames an hour
    assert 0 < kept <= 3600
    assert bytes_of("16 tokens, int8") - bytes_of("4 tokens, int8") == pytest.approx(
        kept * 12 * (tower.width + 2 * -(-tower.width // 64)), rel=0.02
    )
    saved = bytes_of("1 token, int8") - bytes_of("1 token, int8, 1-bit keys")
    assert saved == pytest.approx(kept * 2 * tower.key_width, rel=0.05)
    assert bytes_of(COLD) <= bytes_of("1 token, int8, 1-bit keys") * 1.1


@pytest.mark.parametrize("tokens", ["int8", "float16"])
def test_the_setting_decides_how_new_segments_are_kept_and_not_what_they_are_called(tokens: str, film: Path, tmp_path: Path) -> None:
    with open_library(str(tmp_path), index={"encoder": "nano", "ocr": "off", "tokens": tokens}) as library:
        library.index(film)
        view = library.memory.view()
        kept = np.concatenate([carrier.tokens for carrier in view.load(range(len(view)))])
        assert (exact_int8(kept) is not None) == (tokens == "int8")
        name = library.tools.generation
    other = {"int8": "float16", "float16": "int8"}[tokens]
    with open_library(str(tmp_path), index={"encoder": "nano", "ocr": "off", "tokens": other}) as library:
        assert library.tools.generation == name
        [again] = library.index(film)
        assert again.segments_made == 0
