"""What every encoder and every merger promises; run each implementation through these."""

from itertools import pairwise

import numpy as np

from footage import Carrier, Clip, TimeSpan
from footage.arrays import Pixels
from footage.carriers import carriers_of
from footage.protocols import Encoder, Merger


def clip_of(pixels: Pixels, *, start_s: float = 0.0, step_s: float = 1.0) -> Clip:
    """Frames one after the other, each anchored in its middle."""
    starts = start_s + np.arange(len(pixels)) * step_s
    return Clip("rec", pixels, starts, starts + step_s, starts + step_s / 2)


def noise(T: int, H: int, W: int, seed: int = 0) -> Pixels:
    """Frames that differ everywhere: blocks of random colour, so that resizing leaves something to see."""
    blocks = np.random.default_rng(seed).integers(0, 256, (T, -(-H // 8), -(-W // 8), 3), dtype=np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :H, :W]


def carrier(start_s: float, end_s: float, tokens: object, embed: object, recording_id: str = "rec") -> Carrier:
    return Carrier(
        recording_id,
        (TimeSpan(start_s, end_s),),
        (start_s + end_s) / 2,
        end_s - start_s,
        np.asarray(tokens, np.float16),
        np.asarray(embed, np.float32),
    )


def check_encoder(encoder: Encoder, *, atol: float = 1e-4) -> None:
    """Shapes, unit rows, an honest id and floor, batching that cannot be seen, texts in the space of the pictures."""
    clip = clip_of(noise(5, 40, 56))
    whole = encoder.encode(clip)
    assert whole.encoder_id == encoder.id
    assert "@" in encoder.id
    assert whole.clip is clip
    np.testing.assert_allclose(np.linalg.norm(whole.embeds, axis=1), 1.0, atol=1e-5)
    singles = [encoder.encode(clip_of(clip.pixels[i : i + 1], start_s=float(i))) for i in range(5)]
    np.testing.assert_allclose(np.concatenate([s.embeds for s in singles]), whole.embeds, atol=atol)
    tokens = np.concatenate([s.tokens for s in singles]).astype(np.float32)
    np.testing.assert_allclose(tokens, whole.tokens.astype(np.float32), atol=max(atol, 4e-3))  # float16 steps
    texts = encoder.embed_text(["a red car", "", "a blue bus"])
    assert texts.shape == (3, whole.embeds.shape[1])
    assert texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), [1.0, 0.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(encoder.embed_text(["a blue bus"])[0], texts[2], atol=atol)
    assert encoder.embed_text([]).shape == (0, whole.embeds.shape[1])
    assert -1.0 <= encoder.floor <= 1.0
    dark = Clip("rec", clip.pixels[:1] * 0, *(values[:1] for values in (clip.starts_s, clip.ends_s, clip.anchors_s)))
    assert np.isfinite(encoder.encode(dark).embeds).all()
    assert len(carriers_of(whole)) == 5


def mass(carriers: list[Carrier]) -> np.ndarray:
    """(K, D) sum of weight x tokens."""
    return np.sum([c.weight_s * c.tokens.astype(np.float64) for c in carriers], axis=0)


def check_merger(merger: Merger, *, keeps_budget: bool = True) -> None:
    """Law 1: no time is lost. Law 2: a merge stays within its budget. Pure, deterministic, total."""
    rng = np.random.default_rng(1)
    embeds = rng.standard_normal((7, 5))
    embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    starts = np.array([0, 1, 2, 4, 8, 9, 20], float)  # of unequal length, with a hole before 20
    ends = np.array([1, 2, 4, 8, 9, 12, 21], float)
    carriers = [carrier(s, e, rng.standard_normal((9, 4)), v) for s, e, v in zip(starts, ends, embeds, strict=True)]
    before = [c.tokens.copy() for c in carriers]
    for budget in (1, 2, 8, 9, 17, 18, 40, 62, 63, 1000):
        merged = merger.merge(carriers, max_tokens=budget)
        assert not keeps_budget or sum(len(c.tokens) for c in merged) <= budget
        assert sum(c.weight_s for c in merged) == 13.0
        spans = sorted(span for c in merged for span in c.spans)
        assert spans[0].start_s == 0.0
        assert all(a.end_s == b.start_s or (a.end_s, b.start_s) == (12.0, 20.0) for a, b in pairwise(spans))
        assert spans[-1].end_s == 21.0
        assert {c.anchor_s for c in merged} <= {c.anchor_s for c in carriers}
        assert [c.span for c in merged] == sorted(c.span for c in merged)
        again = merger.merge(carriers, max_tokens=budget)
        assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(merged, again, strict=True))
        for c in merged:
            np.testing.assert_allclose(np.linalg.norm(c.embed), 1.0, atol=1e-5)
    assert all(np.array_equal(c.tokens, old) for c, old in zip(carriers, before, strict=True))
    assert merger.merge([], max_tokens=5) == []
    assert merger.merge(carriers[:1], max_tokens=9)[0].weight_s == 1.0
