"""How many bits a language model's numbers have: its own, or eight or four through bitsandbytes, for cards that are too small for it."""

from importlib.util import find_spec
from typing import Any

from footage.errors import ConfigError

WEIGHTS = ("full", "8bit", "4bit")
WHOLE = ["lm_head", "visual", "vision_model", "vision_tower", "connector", "multi_modal_projector", "embed_tokens"]
"""Parts that stay as they are: they are small, or every answer goes through them."""


def loading(weights: str, *, device: Any, dtype: Any) -> dict[str, Any]:
    """What `from_pretrained` needs to know beside the folder.

    Attention is PyTorch's own (sdpa: flash or memory-efficient kernels where the device has them); never eager, whose maps of a long
    prompt fill any device. 4bit is NF4 of "QLoRA: Efficient Finetuning of Quantized LLMs" (2023), 8bit is "LLM.int8()" (2022).

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    plain = {"dtype": dtype, "attn_implementation": "sdpa"}
    if weights == "full":
        return plain
    if not all(map(find_spec, ("bitsandbytes", "accelerate"))):
        raise ConfigError(f'ask.weights is "{weights}", which takes bitsandbytes', hint='pip install "footage[quantized]"')
    from transformers import BitsAndBytesConfig

    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
    chosen: dict[str, Any] = four if weights == "4bit" else {"load_in_8bit": True}
    return plain | {"device_map": {"": device}, "quantization_config": BitsAndBytesConfig(**chosen, llm_int8_skip_modules=WHOLE)}
