import numpy as np
import pytest
from contracts_encode import check_encoder, clip_of, noise

from footage import ConfigError, ModelMissing
from footage.colours import NAMES
from memory.encoders.color import ColorEncoder, colour_shares
from memory.encoders.registry import load_encoder

RED, BLUE, WHITE = (220, 30, 30), (30, 70, 215), (255, 255, 255)


def painted(*colours):
    """One frame of equal upright stripes."""
    return np.concatenate([np.full((1, 40, 40, 3), colour, np.uint8) for colour in colours], axis=2)


def test_it_keeps_the_contract_of_an_encoder():
    check_encoder(ColorEncoder())


def test_the_squared_score_is_the_share_of_the_picture_with_that_colour():
    encoder = ColorEncoder()
    seen = encoder.encode(clip_of(painted(RED, WHITE, WHITE, BLUE)))
    scores = encoder.embed_text(["red", "white", "blue", "green"]) @ seen.embeds[0]
    np.testing.assert_allclose(scores**2, [0.25, 0.5, 0.25, 0.0], atol=1e-6)


def test_tokens_are_the_roots_of_the_shares_in_each_cell_row_by_row():
    seen = ColorEncoder().encode(clip_of(painted(RED, WHITE, WHITE, BLUE)))
    assert seen.tokens.shape == (1, 16, 11)
    columns = [NAMES[i] for i in seen.tokens[0].argmax(axis=1)]
    assert columns == ["red", "white", "white", "blue"] * 4
    np.testing.assert_allclose(np.linalg.norm(seen.tokens[0].astype(np.float32), axis=1), 1.0, atol=1e-3)


def test_two_colours_in_one_question_ask_for_both():
    encoder = ColorEncoder()
    both, red = encoder.encode(clip_of(painted(RED, BLUE))), encoder.encode(clip_of(painted(RED, RED)))
    query = encoder.embed_text(["a RED car beside a navy bus"])[0]
    assert query @ both.embeds[0] == pytest.approx(1.0)
    assert query @ red.embeds[0] == pytest.approx(0.5**0.5)


def test_a_text_without_colour_words_is_all_zero():
    assert not ColorEncoder().embed_text(["when does the man arrive?"]).any()


def test_a_colour_that_fills_one_percent_is_above_the_floor_and_a_speck_is_not():
    encoder = ColorEncoder()
    frame = np.full((1, 200, 200, 3), 128, np.uint8)
    query = encoder.embed_text(["red"])[0]
    frame[0, :20, :20] = RED  # 400 of 40,000 pixels
    assert query @ encoder.encode(clip_of(frame)).embeds[0] > encoder.floor
    frame[:] = 128
    frame[0, :8, :8] = RED  # 64 of 40,000
    assert query @ encoder.encode(clip_of(frame)).embeds[0] < encoder.floor


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (1, 500), (1200, 2)])
def test_pictures_thinner_than_the_grid_are_seen_too(size):
    seen = ColorEncoder().encode(clip_of(np.full((2, *size, 3), RED, np.uint8)))
    assert np.all(seen.embeds[:, NAMES.index("red")] == 1.0)
    assert np.all(seen.tokens[:, :, NAMES.index("red")] == 1.0)


def test_large_pictures_are_sampled_evenly():
    small = noise(1, 96, 128)
    large = small.repeat(8, axis=1).repeat(8, axis=2)
    np.testing.assert_allclose(colour_shares(large), colour_shares(small), atol=0.02)


def test_the_registry_knows_color_and_says_what_else_it_takes():
    assert load_encoder("color").id == "color@1"
    with pytest.raises(ConfigError, match="known: color, a checkpoint folder, or a hub id") as caught:
        load_encoder("colour")
    assert caught.value.hint == "did you mean color?"


def test_a_path_without_a_folder_is_missing_and_says_so(tmp_path):
    with pytest.raises(ModelMissing, match="there is no folder"):
        load_encoder(str(tmp_path / "none"), offline=True)
