"""Settings: where each comes from, and what is refused."""

from pathlib import Path

import pytest

from footage.errors import ConfigError
from workers.config import load_settings


def origins(**flags: object) -> dict[str, tuple[object, str]]:
    return {name: (value, origin) for name, value, origin in load_settings(flags).rows()}


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("footage.toml").write_text('library = "from-file"\n[sampling]\nfps = 2.0\nsegment_s = 30.0\n')
    monkeypatch.setenv("FOOTAGE_SAMPLING__FPS", "4")
    rows = origins(index={"encoder": "color", "ocr": None})
    assert rows["library"] == ("from-file", "footage.toml")
    assert rows["sampling.fps"] == (4.0, "environment")
    assert rows["sampling.segment_s"] == (30.0, "footage.toml")
    assert rows["index.encoder"] == ("color", "flag")
    assert rows["index.ocr"] == ("auto", "default")
    assert origins(sampling={"fps": 8.0})["sampling.fps"] == (8.0, "flag")


@pytest.mark.parametrize(
    ("toml", "found", "hint"),
    [
        ("[sampling]\nfsp = 2\n", "sampling.fsp", "sampling.fps"),
        ("[samplign]\nfps = 2\n", "samplign", "footage config"),
        ("[sampling]\nfps = 'many'\n", "sampling.fps", "footage config"),
        ("[sampling\n", "footage.toml cannot be read", "mend it"),
    ],
)
def test_a_mistake_in_the_file_names_the_key_and_the_nearest_known_one(toml: str, found: str, hint: str) -> None:
    Path("footage.toml").write_text(toml)
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert found in str(error.value)
    assert hint in error.value.hint


def test_a_mistyped_variable_is_an_error_and_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTAGE_LIBARY", "x")
    with pytest.raises(ConfigError, match="FOOTAGE_LIBARY") as error:
        load_settings()
    assert "'library'" in error.value.hint


def test_a_value_that_a_stage_refuses_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="fps is 0"):
        load_settings({"sampling": {"fps": 0}})
    with pytest.raises(ConfigError, match=r"index\.merger"):
        load_settings({"index": {"merger": "magic"}})


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("focus", "mmtokk", 'known are "", mmtok, ppllava, hicom, llama-vid; did you mean mmtok?'),
        ("focus_tokens", 0, "greater than or equal to 1"),
        ("rerank", 21, "less than or equal to 20"),
        ("coverage", 1.5, "less than or equal to 1"),
        ("drop", "fastvv", "did you mean fastv?"),
    ],
)
def test_what_a_question_may_ask_for_is_checked(setting: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"ask\.{setting}") as error:
        load_settings({"ask": {setting: value}})
    assert told in str(error.value)


def test_reading_with_the_question_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = load_settings().settings.ask
    assert (ask.focus, ask.rerank, ask.coverage) == ("", 0, None)
    monkeypatch.setenv("FOOTAGE_ASK__FOCUS", "llama-vid")
    monkeypatch.setenv("FOOTAGE_ASK__COVERAGE", "0.25")
    ask = load_settings({"ask": {"rerank": 20}}).settings.ask
    assert (ask.focus, ask.rerank, ask.coverage) == ("llama-vid", 20, 0.25)
