"""Words to what a text tower reads: written as in training, cut at the tower's limit, padded as in training."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from footage import ModelError
from memory.encoders.checkpoint import read_json

VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class TextInputs:
    """SigLIP was trained on lower case, padded on the right to the full length and without an attention mask.

    SigLIP 1 also never saw punctuation. Its tokenizer class sees to that but needs sentencepiece, the tokenizer.json
    beside it does not; so both habits are kept here.
    """

    tokenizer: Any
    limit: int
    """Tokens of one text, special ones included."""
    is_siglip: bool
    drops_punctuation: bool = False

    @classmethod
    def load(cls, folder: Path, config: Any) -> Self:
        """Args: config: the loaded model's.

        Raises:
            ModelError: no tokenizer that can be read.
        """
        tokenizer = _load_tokenizer(folder)
        tokenizer.padding_side = "right"  # Gemma's class says left, but no tower was trained so
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        made_for = str(read_json(folder / "tokenizer_config.json").get("tokenizer_class", ""))
        is_siglip = config.model_type != "clip"
        drops = is_siglip and made_for.startswith("SiglipTokenizer")
        return cls(tokenizer, config.text_config.max_position_embeddings, is_siglip, drops)

    def split(self, text: str) -> list[str]:
        """The text in parts that fit, cut between words; none for a text without words. A longer word is cut short."""
        parts: list[str] = []
        for word in self._written(text).split():
            longer = f"{parts[-1]} {word}" if parts else word
            if parts and self._fits(longer):
                parts[-1] = longer
            else:
                parts.append(word)
        return parts

    def tensors(self, parts: list[str]) -> dict[str, Any]:
        """input_ids (Q, L), and for CLIP the attention_mask; CPU."""
        padding = "max_length" if self.is_siglip else True
        tokens = self.tokenizer(parts, padding=padding, truncation=True, max_length=self.limit, return_tensors="pt")
        names = ("input_ids",) if self.is_siglip else ("input_ids", "attention_mask")
        return {name: tokens[name] for name in names}

    def _written(self, text: str) -> str:
        text = text.lower() if self.is_siglip else text
        return text.translate(WITHOUT_PUNCTUATION) if self.drops_punctuation else text

    def _fits(self, text: str) -> bool:
        return len(self.tokenizer(text, verbose=False)["input_ids"]) <= self.limit


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    hint = "put the checkpoint's tokenizer.json into it"
    if not any((folder / name).exists() for name in VOCABULARIES):  # transformers would make an empty one in silence
        raise ModelError(f"{folder} has no tokenizer: none of {', '.join(VOCABULARIES)}", hint=hint)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ImportError, OSError, ValueError) as error:
        if (folder / "tokenizer.json").exists():
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        raise ModelError(f"{folder} has no tokenizer that can be read: {error}", hint=hint) from error
