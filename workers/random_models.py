"""Video-language models with random weights: what they say means nothing, what they cost depends on their sizes alone."""

from pathlib import Path
from typing import Any

from footage.errors import ConfigError
from qa.answerers.vlm import INSTRUCTION
from qa.families.qwen import BEGIN, END, VIDEO
from qa.families.smolvlm import AROUND, GLOBAL, IMAGE

SIZES = ("tiny", "2b", "7b")
"""Eight layers of 256, for any machine; SmolVLM2-2.2B; Qwen2.5-VL-7B."""
FRAME = {"tiny": 16, "2b": 81, "7b": 126}
"""Tokens of a 1280 x 720 frame (of the tiny one, of any); of Qwen2.5-VL half a pair's."""
SPECIALS = ("<pad>", "<|im_start|>", "<|im_end|>", BEGIN, END, VIDEO, IMAGE, AROUND, GLOBAL)
CHAT = "{% for m in messages %}<|im_start|>{% for c in m['content'] %}{{ c['text'] }}{% endfor %}<|im_end|>{% endfor %}"


def make_tokenizer() -> Any:
    """Pairs of bytes: clock words and our instruction take about as many tokens as with published ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=list(SPECIALS), initial_alphabet=alphabet, show_progress=False)
    words = f"overview: 0 ; 1 long \nFrame from 0 {INSTRUCTION} When does the red car appear? Is there a blue ring?"
    made.train_from_iterator([words] * 4, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<|im_end|>", bos_token="<|im_start|>")
    wrapped.chat_template = CHAT
    return wrapped


def configuration(size: str) -> Any:
    """Raises ConfigError: no such size."""
    from transformers import Qwen2_5_VLConfig, SmolVLMConfig

    if size not in SIZES:
        raise ConfigError(f"there is no size {size!r}", hint=f"known: {', '.join(SIZES)}")
    text: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if size == "7b":
        text |= {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
        text |= {"num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 128000}
        text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}}
        tower = {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584, "tokens_per_second": 2}
        marks = {"vision_start_token_id": 3, "vision_end_token_id": 4, "video_token_id": 5, "image_token_id": 6}
        return Qwen2_5_VLConfig(text_config=text, vision_config=tower, **marks)
    text |= {"model_type": "llama"}
    if size == "2b":
        text |= {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32}
        text |= {"num_key_value_heads": 32, "vocab_size": 49280, "max_position_embeddings": 8192}
        tower = {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "image_size": 384, "patch_size": 14}
        return SmolVLMConfig(
            text_config=text, vision_config=tower | {"num_hidden_layers": 27}, scale_factor=3, image_token_id=6, pad_token_id=0
        )
    text |= {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4}
    text |= {"vocab_size": 512, "max_position_embeddings": 4096}
    tower = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "image_size": 128, "patch_size": 16}
    return SmolVLMConfig(text_config=text, vision_config=tower | {"num_hidden_layers": 2}, scale_factor=2, image_token_id=6, pad_token_id=0)


def make_model(size: str, *, device: Any, dtype: Any) -> Any:
    """Made where it runs, in evaluation mode."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForImageTextToText.from_config(configuration(size), dtype=dtype)
    return model.eval().requires_grad_(False)


def save(folder: Path) -> Path:
    """The tiny one as a checkpoint that says one token, unless it is there already."""
    if not (folder / "model.safetensors").exists():
        model = make_model("tiny", device="cpu", dtype=None)
        model.config.footage = {"max_new_tokens": 1}
        make_tokenizer().save_pretrained(folder)
        model.save_pretrained(folder)
    return folder
