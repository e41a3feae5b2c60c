"""Settings of a question reach the parts that they are for."""

from pathlib import Path

import pytest

from footage import ConfigError
from qa.answerers.focusing import Focusing
from qa.answerers.vlm import VlmAnswerer
from qa.ask import Scope
from qa.parse import parse
from workers import engine
from workers.config import Settings, load_settings
from workers.engine import Library, open_library
from workers.models import load_answerer

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("library"))
    with open_library(made, index={"ocr": "off"}) as library:
        library.index("synthetic:red=200,blue=5,red=195", *(f"synthetic:{colour}=3" for colour in COLOURS))
    return made


def asking(place: str, **settings: object) -> Library:
    return open_library(place, index={"ocr": "off"}, ask=settings)


def test_a_share_of_the_budget_covers_the_time_where_it_is_asked_for(place: str) -> None:
    whys = []
    for more in ({}, {"coverage": 0.5}):
        with asking(place, selector="mmr", budget=4 * 24, **more) as library:
            plan = library.ask("When was it blue?", recording="synthetic:red=200,blue=5,red=195").plan
            whys.append([pick.why for pick in plan.picks].count("coverage"))
    assert whys[1] >= 2 > whys[0]
    with asking(place, selector="uniform", coverage=0.5) as library, pytest.raises(ConfigError, match="'uniform' cannot be made"):
        library.ask("When was it blue?", recording="synthetic:red=3")


def test_only_a_model_can_re_rank(place: str) -> None:
    with asking(place, rerank=5) as library, pytest.raises(ConfigError, match="'template' cannot say whether a moment helps"):
        library.ask("When was it blue?", recording="synthetic:blue=3")


def test_the_focus_that_is_named_is_the_models(tmp_path: Path) -> None:
    def loaded(**ask: object) -> VlmAnswerer:
        settings: Settings = load_settings({"library": str(tmp_path), "ask": ask}).settings
        return load_answerer("nano", settings)

    assert loaded()._focusing is None
    assert loaded(focus="hicom", focus_tokens=5)._focusing == Focusing("hicom", 5)


@pytest.mark.parametrize("last", ["green", "pink", "purple", "white"])
def test_among_many_recordings_each_part_finds_its_own(place: str, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RECORDINGS", 3)
    with asking(place) as library:
        others = ", ".join(colour for colour in COLOURS if colour != last)
        question = f"Is it {others}, and then {last}?"
        meant = parse(question)
        narrowed = library._narrowing(Scope()).narrowed(lambda: library.encoder.embed_text((question, *meant.parts)), question)
        assert len(narrowed.scope.recording_ids or ()) == 3
        assert library.resolve(f"synthetic:{last}=3") in (narrowed.scope.recording_ids or ())
