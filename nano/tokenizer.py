"""One tokenizer for both text sides: whole words of the world's phrasings, everything else letter by letter.

Words on signs are thus always spelled, so a word that training never wrote is no harder to say than one it wrote.
"""

import string
from pathlib import Path
from typing import Any

from nano.phrases import lexicon

POINTERS = 16
SPECIAL = ("<pad>", "<unk>", "<|im_start|>", "<end_of_utterance>", "<image>")
CHAT = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %} <image> {% else %} {{ part['text'] }} {% endif %}{% endfor %}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant{% endif %}"
)


def make_tokenizer() -> Any:
    """A PreTrainedTokenizerFast; [1] to [16] are single tokens that point at evidence."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_letters + string.digits
    cased = sorted({w for word in lexicon() for w in (word, word.lower())})
    tokens = [*SPECIAL, *string.punctuation, *letters, *(f"##{x}" for x in letters), "user", "assistant", *cased]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=64))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<|im_start|>", eos_token="<end_of_utterance>",
        additional_special_tokens=["<image>"], model_max_length=4096, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    wrapped.add_tokens([f"[{k}]" for k in range(1, POINTERS + 1)])
    wrapped.chat_template = CHAT
    return wrapped


def save_tokenizer(folder: Path) -> None:
    make_tokenizer().save_pretrained(folder)
