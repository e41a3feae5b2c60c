"""Frames to what a vision tower reads, from the checkpoint's own preprocessor configuration and without torchvision.

Letters: T frames, P patches, h x w pixels as the tower sees them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from footage import ModelError
from footage.arrays import Pixels
from memory.encoders.checkpoint import read_json

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
MODES = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Plain resize (SigLIP), short side and centre crop (CLIP), or native aspect in patches (SigLIP 2 NaFlex)."""

    mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float
    rectangle_px: tuple[int, int] | None = None
    """(h, w)"""
    short_side_px: int = 0
    crop_px: tuple[int, int] | None = None
    patch_px: int = 0
    max_patches: int = 0

    @classmethod
    def of(cls, folder: Path, model: dict[str, Any]) -> Self:
        """From preprocessor_config.json or the image part of processor_config.json; the model's config fills gaps.

        Raises:
            ModelError: the configuration asks for what is not done here.
        """
        given = read_json(folder / "preprocessor_config.json")
        given = given or read_json(folder / "processor_config.json").get("image_processor", {})
        vision, is_clip = model.get("vision_config", {}), model["model_type"] == "clip"
        number = given.get("resample", 2 if model["model_type"] == "siglip2" else 3)
        if number not in MODES:
            raise ModelError(f"{folder} resizes with Pillow filter {number}; known here: 2 (bilinear), 3 (bicubic)")
        common: dict[str, Any] = {
            "mode": MODES[number],
            "mean": tuple(given.get("image_mean") or (CLIP_MEAN if is_clip else (0.5, 0.5, 0.5))),
            "std": tuple(given.get("image_std") or (CLIP_STD if is_clip else (0.5, 0.5, 0.5))),
            "rescale": float(given.get("rescale_factor") or 1 / 255),
        }
        if model["model_type"] == "siglip2":
            patch_px = int(given.get("patch_size") or vision.get("patch_size") or 16)
            return cls(**common, patch_px=patch_px, max_patches=int(given.get("max_num_patches") or 256))
        side = int(vision.get("image_size") or 224)
        size = given.get("size") or side
        if is_clip and isinstance(size, int):
            size = {"shortest_edge": size}
        crop = _rectangle(given.get("crop_size") or side) if given.get("do_center_crop", is_clip) else None
        if isinstance(size, dict) and "shortest_edge" in size:
            made = cls(**common, short_side_px=int(size["shortest_edge"]), crop_px=crop or (side, side))
        else:
            made = cls(**common, rectangle_px=_rectangle(size), crop_px=crop)
        if made.size != str(side) or side > (made.short_side_px or side):
            raise ModelError(f"{folder} makes pictures of {made.size} px for a tower of {side} px: {given.get('size')}")
        return made

    @property
    def size(self) -> str:
        """For ids: 224, 224x320, or 256p for at most 256 patches."""
        if self.max_patches:
            return f"{self.max_patches}p"
        height, width = self.crop_px or self.rectangle_px or (self.short_side_px, self.short_side_px)
        return f"{height}" if height == width else f"{height}x{width}"

    def inputs(self, pixels: Pixels) -> dict[str, Any]:
        """Float32 CPU tensors by the names that get_image_features takes: pixel_values (T, 3, h, w) or patches."""
        import torch

        frames = self._resized(torch.tensor(pixels).permute(0, 3, 1, 2))
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        values = (frames.float() * self.rescale - mean) / std
        return self._patches(values) if self.max_patches else {"pixel_values": values}

    def _resized(self, frames: Any) -> Any:
        """(T, 3, H, W) uint8 to the wanted size; rounded to uint8, as Pillow does and checkpoints are used to."""
        import torch

        height, width = self.target_px(*frames.shape[2:])
        if (height, width) != tuple(frames.shape[2:]):
            frames = torch.nn.functional.interpolate(frames, (height, width), mode=self.mode, antialias=True)
        if self.crop_px is None:
            return frames
        top, left = (height - self.crop_px[0]) // 2, (width - self.crop_px[1]) // 2
        return frames[:, :, top : top + self.crop_px[0], left : left + self.crop_px[1]]

    def target_px(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) after resizing, before the crop."""
        if self.rectangle_px:
            return self.rectangle_px
        if self.max_patches:
            rows, cols = patch_grid(height, width, self.max_patches)
            return rows * self.patch_px, cols * self.patch_px
        short = self.short_side_px
        return (short, short * width // height) if height <= width else (short * height // width, short)

    def _patches(self, values: Any) -> dict[str, Any]:
        """(T, P, patch * patch * 3) row by row, no padding: the frames of a clip are alike."""
        import torch

        T, _, height, width = values.shape
        rows, cols, side = height // self.patch_px, width // self.patch_px, self.patch_px
        cut = values.view(T, 3, rows, side, cols, side).permute(0, 2, 4, 3, 5, 1).reshape(T, rows * cols, -1)
        return {
            "pixel_values": cut,
            "pixel_attention_mask": torch.ones(T, rows * cols, dtype=torch.int32),
            "spatial_shapes": torch.tensor([[rows, cols]] * T),
        }


def _rectangle(size: Any) -> tuple[int, int]:
    return (int(size["height"]), int(size["width"])) if isinstance(size, dict) else (int(size), int(size))


def patch_grid(height: int, width: int, max_patches: int) -> tuple[int, int]:
    """(rows, cols) of the largest picture of this shape in at most max_patches, each side rounded up to patches.

    As the NaFlex preprocessing of SigLIP 2 (Tschannen et al., 2025, arXiv:2502.14786), found exactly, not by bisection.
    """
    steps = range(1, max_patches + 1)
    grids = [(rows, -(-width * rows // height)) for rows in steps] + [(-(-height * cols // width), cols) for cols in steps]
    return max((grid for grid in grids if grid[0] * grid[1] <= max_patches), key=sum)
