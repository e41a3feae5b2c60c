"""Random video-language models of the real families, two to four layers deep, with tokenizers trained on the spot."""

from typing import Any

WORDS = "Above are moments of a video, each with its time. When does the red car arrive? 0123456789 : . < > seconds Frame from"
SPECIALS = (
    "<pad>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|image_pad|>", "<image>", "<video>",
    "<fake_token_around_image>", "<global-img>",
)  # fmt: skip
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 400, "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1, "max_position_embeddings": 4096,
}  # fmt: skip
QWEN_TOWER = {
    "hidden_size": 32, "intermediate_size": 48, "depth": 3, "num_heads": 2, "patch_size": 8, "out_hidden_size": 32,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
SIGLIP = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 48, "patch_size": 8}
FAMILIES = ("smolvlm", "llava_onevision", "qwen2_5_vl", "qwen3_vl")


def make_words() -> Any:
    """Bytes in pairs, so that every text can be said, and the marks of all families as single tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=list(SPECIALS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator([WORDS] * 4, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<|im_end|>", bos_token="<|im_start|>")
    wrapped.chat_template = (
        "{% for m in messages %}<|im_start|>{% for c in m['content'] %}{{ c['text'] }}{% endfor %}<|im_end|>{% endfor %}"
    )
    return wrapped


def make_vlm(family: str, *, seed: int = 0) -> Any:
    """In evaluation mode and float32, with weights large enough that positions and pictures matter."""
    import torch

    torch.manual_seed(seed)
    model = {"smolvlm": _smolvlm, "llava_onevision": _llava, "qwen2_5_vl": _qwen25, "qwen3_vl": _qwen3}[family]()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                weights.mul_(8.0 if "language_model" in name or "text_model" in name else 3.0)
            elif name.endswith("bias"):
                weights.normal_(std=0.3)
    return model.eval().requires_grad_(False)


def _rope(**more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10_000.0} | more


def _marks(*names: str) -> list[int]:
    return [SPECIALS.index(name) for name in names]


def _smolvlm() -> Any:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    text = TEXT | {"model_type": "llama", "head_dim": 8, "rope_parameters": _rope()}
    (image,) = _marks("<image>")
    return SmolVLMForConditionalGeneration(
        SmolVLMConfig(vision_config=SIGLIP, text_config=text, image_token_id=image, scale_factor=2, pad_token_id=0)
    )


def _llava() -> Any:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config, SiglipVisionConfig

    image, video = _marks("<image>", "<video>")
    tower = SiglipVisionConfig(**SIGLIP | {"image_size": 40}, vision_use_head=False)
    text = Qwen2Config(**TEXT, rope_parameters=_rope())
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(vision_config=tower, text_config=text, image_token_index=image, video_token_index=video)
    )


def _qwen(config: Any, model: Any, text: dict[str, Any], tower: dict[str, Any]) -> Any:
    image, video, begin, end = _marks("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    ids = {"image_token_id": image, "video_token_id": video, "vision_start_token_id": begin, "vision_end_token_id": end}
    return model(config(text_config=TEXT | text, vision_config=QWEN_TOWER | tower, **ids))


def _qwen25() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tower = {"window_size": 32, "fullatt_block_indexes": [1], "tokens_per_second": 2}
    text = {"rope_parameters": _rope(mrope_section=[2, 1, 1])}
    return _qwen(Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, text, tower)


def _qwen3() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tower = {"num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1, 2]}
    text = {"head_dim": 16, "rope_parameters": _rope(mrope_section=[4, 2, 2], mrope_interleaved=True)}
    return _qwen(Qwen3VLConfig, Qwen3VLForConditionalGeneration, text, tower)
