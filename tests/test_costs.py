"""Our counters give the figures that papers print, to the digits that they print (V1)."""

import pytest

from footage.costs import LanguageShape, staged

QWEN2_7B = LanguageShape(28, 3584, 18944, 28, 4)
LLAVA_7B = LanguageShape(32, 4096, 11008, 32, 32)
QWEN3_8B_KV = LanguageShape(36, 4096, 12288, 32, 8)
FULL = 32 * 196  # frames x tokens of LLaVA-OneVision
AIM = [(14 + n, 0.875 - 0.125 * n) for n in range(8)]


def saved(stages: list[tuple[int, float]], text: int, visual: int = 576) -> float:
    """Share of the simple count that stages save on LLaVA-1.5."""
    return 1 - LLAVA_7B.simple_macs(staged(visual, text, 32, stages)) / LLAVA_7B.simple_macs(visual + text)


def saved_gated(stages: list[tuple[int, float]], text: int, visual: int = 576) -> float:
    return 1 - LLAVA_7B.prefill_macs(staged(visual, text, 32, stages)) / LLAVA_7B.prefill_macs(visual + text)


def test_a_full_prefill_is_what_fastvid_and_holitom_print() -> None:
    assert QWEN2_7B.prefill_macs(FULL) / 1e12 == pytest.approx(48.8, abs=0.05)
    assert QWEN2_7B.simple_macs(FULL) / 1e12 == pytest.approx(40.8, abs=0.05)


def test_dropping_inside_the_model_is_what_aim_and_holitom_print() -> None:
    assert 2 * QWEN2_7B.prefill_macs(FULL + 100) / 1e12 == pytest.approx(99.46, abs=0.01)
    assert 2 * QWEN2_7B.prefill_macs(staged(FULL // 4, 100, 28, AIM)) / 1e12 == pytest.approx(14.75, abs=0.01)
    half_after_18 = [(18, 0.5)]
    assert QWEN2_7B.simple_macs(staged(FULL // 4, 0, 28, half_after_18)) / 1e12 == pytest.approx(7.11, abs=0.01)
    tenth = QWEN2_7B.simple_macs(staged(FULL // 10, 0, 28, half_after_18))
    assert tenth / 1e12 == pytest.approx(2.76, abs=0.01)
    assert tenth / QWEN2_7B.simple_macs(FULL) == pytest.approx(0.068, abs=0.001)
    assert QWEN2_7B.simple_macs(FULL // 10) / QWEN2_7B.simple_macs(FULL) == pytest.approx(0.0826, abs=0.0003)


def test_fastv_sparsevlm_and_voco_save_what_they_print() -> None:
    assert saved_gated([(2, 0.5)], 40) == pytest.approx(0.444, abs=0.01)
    sparse = [(2, 300 / 576), (6, 200 / 576), (15, 110 / 576)]
    assert sum(staged(576, 0, 32, sparse)) / 32 == pytest.approx(188.2, abs=0.05)
    assert saved_gated(sparse, 64) == pytest.approx(0.611, abs=0.01)
    assert saved_gated(sparse, 0) == pytest.approx(0.677, abs=0.01)
    assert 1 - LLAVA_7B.prefill_macs(41) / LLAVA_7B.prefill_macs(616) == pytest.approx(0.935, abs=0.005)


def test_a_cache_has_the_bytes_that_rekv_prints() -> None:
    assert QWEN2_7B.kv_bytes_per_token == 57_344
    assert QWEN3_8B_KV.kv_bytes_per_token == 147_456
    assert 3600 * 0.5 * 196 * QWEN2_7B.kv_bytes_per_token / 2**30 == pytest.approx(18.84, abs=0.01)


def test_stages_need_a_number_for_every_layer() -> None:
    with pytest.raises(ValueError, match="each of 28 layers, got 3"):
        QWEN2_7B.prefill_macs([1, 2, 3])
