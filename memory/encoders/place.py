"""Where a model runs and in which numbers."""

from typing import Any

from footage import ConfigError, ModelError


def place(device: str, dtype: str) -> tuple[Any, Any]:
    """(torch.device, torch.dtype). bfloat16 on a CPU without it is 2.6 times slower than float32, so "auto" asks."""
    import torch

    if dtype not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"dtype {dtype!r} is not known", hint="use auto, float32 or bfloat16")
    try:
        where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used: {error}", hint="use auto or cpu") from error
    return where, torch.bfloat16 if dtype == "bfloat16" or (dtype == "auto" and _has_bfloat16(where)) else torch.float32


def _has_bfloat16(where: Any) -> bool:
    import torch

    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return where.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
