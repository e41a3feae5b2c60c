"""Decoded frames to pictures: upright, square-pixelled RGB of a wanted size; HDR is tone-mapped."""

from typing import Any

import numpy as np

from footage.arrays import AnyArray, Pixels


def fitted_px(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """The largest (width, height) of that shape whose longer side is at most max_side_px; never enlarged."""
    scale = min(1.0, max_side_px / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def upright(frame: Any, size_px: tuple[int, int], rotation_deg: int) -> Pixels:
    """One decoded frame as (H, W, 3) RGB of size_px (width, height) after rotation; HDR is tone-mapped."""
    width, height = size_px if rotation_deg % 180 == 0 else size_px[::-1]
    is_hdr = int(frame.color_trc) in _HDR_CURVES
    shape = {"width": width, "height": height, "interpolation": "AREA"}
    picture = frame.reformat(format="rgb48le" if is_hdr else "rgb24", **shape).to_ndarray()
    if is_hdr:
        picture = tone_mapped(picture, int(frame.color_trc))
    return np.ascontiguousarray(np.rot90(picture, rotation_deg // 90))


PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
_HDR_CURVES = (PQ, HLG)


def tone_mapped(rgb48: AnyArray, curve: int) -> Pixels:
    """BT.2020 PQ or HLG (H, W, 3) uint16 to BT.709 sRGB uint8: diffuse white (203 nits, BT.2408) stays white, highlights roll off."""
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
    rolled = peak * (1 + peak / 25) / (1 + peak)  # Reinhard's extended curve, white at 5 x diffuse white
    linear = np.clip(linear * np.divide(rolled, peak, out=np.zeros_like(peak), where=peak > 0) * 1.6, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)
