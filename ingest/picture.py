"""Decoded frames to pictures: upright, square-pixelled RGB of a wanted size; HDR is tone-mapped, combs of interlaced video are removed."""

from typing import Any

import numpy as np

from footage.arrays import AnyArray, Pixels


def fitted_px(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """The largest (width, height) of that shape whose longer side is at most max_side_px; never enlarged."""
    scale = min(1.0, max_side_px / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def upright(frame: Any, size_px: tuple[int, int], rotation_deg: int) -> Pixels:
    """One decoded frame as (H, W, 3) RGB of size_px (width, height) after rotation; HDR is tone-mapped, combs are removed."""
    width, height = size_px if rotation_deg % 180 == 0 else size_px[::-1]
    is_hdr = int(frame.color_trc) in _HDR_CURVES
    if frame.interlaced_frame and height > frame.height / 2 and not is_hdr:  # where two lines become one they are blended anyway
        frame = frame.from_ndarray(uncombed(frame.to_ndarray(format="rgb24")), format="rgb24")
    shape = {"width": width, "height": height, "interpolation": "AREA"}
    picture = frame.reformat(format="rgb48le" if is_hdr else "rgb24", **shape).to_ndarray()
    if is_hdr:
        picture = tone_mapped(picture, int(frame.color_trc))
    return np.ascontiguousarray(np.rot90(picture, rotation_deg // 90))


COMB = 12  # of 255, by which a line stands out against both its neighbours


def uncombed(rgb: Pixels) -> Pixels:
    """A frame of two fields (H, W, 3): where lines of the second stand out against those above and below, something moved, and they
    become the mean of these. What stands still keeps every line."""
    lines = rgb.astype(np.int16)
    above, line, below = lines[:-2:2], lines[1:-1:2], lines[2::2]
    out = np.minimum(line - above, line - below) > COMB
    out |= np.maximum(line - above, line - below) < -COMB
    whole: Pixels = rgb.copy()
    whole[1:-1:2] = np.where(out.any(axis=2, keepdims=True), (above + below) // 2, line)
    return whole


PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
_HDR_CURVES = (PQ, HLG)
_PEAKS = {PQ: 4000 / 203, HLG: 1 / 0.2650}  # in units of diffuse white
_KNEE, _GAIN = 0.5, 0.7


def tone_mapped(rgb48: AnyArray, curve: int) -> Pixels:
    """BT.2020 PQ or HLG (H, W, 3) uint16 to BT.709 sRGB uint8: diffuse white (203 nits, BT.2408) stays white, highlights roll
    off and keep their detail up to 4,000 nits (PQ) or the signal's peak (HLG)."""
    signal = rgb48.astype(np.float32) / 65535
    if curve == PQ:  # SMPTE ST 2084, in units of diffuse white
        p = signal ** (1 / 78.84375)
        linear = (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125) * (10000 / 203)
    else:  # ARIB STD-B67: signal 0.75 is diffuse white
        linear = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        linear = linear / 0.2650
    to_709 = np.array([[1.6605, -0.1246, -0.0182], [-0.5876, 1.1329, -0.1006], [-0.0728, -0.0083, 1.1187]], np.float32)
    linear = np.maximum(linear @ to_709, 0)
    peak = linear.max(axis=2, keepdims=True)
    rolled = _rolled(peak, _PEAKS[curve])
    linear = np.clip(linear * np.divide(rolled, peak, out=np.zeros_like(peak), where=peak > 0), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _rolled(light: AnyArray, peak: float) -> AnyArray:
    """Units of diffuse white to 0 to 1: a straight line up to the knee, then Reinhard's extended curve (2002, eq. 4), 1 at the peak."""
    over, white = np.maximum(light * _GAIN - _KNEE, 0) / (1 - _KNEE), (peak * _GAIN - _KNEE) / (1 - _KNEE)
    return np.minimum(light * _GAIN, _KNEE) + (1 - _KNEE) * over * (1 + over / white**2) / (1 + over)
