"""What is trained of a model so that carriers tell more than a mean: low-rank adapters of its decoder, and what carriers begin with.

Adapters after "LoRA: Low-Rank Adaptation of Large Language Models" (2021), kept by the peft library as a folder of its own. Before the
first step they change nothing: the model is the untrained one that reads means.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footage.errors import ConfigError, ModelError
from qa.carriers.carrier_input import INPUT, give_input
from qa.families.family import Family

ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Rank:
    """How much is trained."""

    rank: int = 16
    alpha: int = 32
    """Adapters count alpha / rank."""
    mlp: bool = False


def adapted(model: Any, family: Family, how: Rank) -> Any:
    """The model as peft wraps it, with fresh adapters that change nothing yet. The model itself is changed in place: it reads with them.

    Raises:
        ConfigError: peft is not installed.
    """
    peft = _peft()
    where = next(name for name, part in model.named_modules() if part is family.decoder)
    layers = rf"{re.escape(where)}\.layers\.\d+\..*\.({'|'.join(ATTENTION + MLP * how.mlp)})"
    give_input(model)
    config = peft.LoraConfig(r=how.rank, lora_alpha=how.alpha, target_modules=layers, modules_to_save=[INPUT])
    with _quiet():
        return peft.get_peft_model(model, config)


def save(wrapped: Any, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors."""
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)


def load(model: Any, folder: Path) -> Any:
    """The model as peft wraps it with the adapters of a folder; it is changed in place.

    Raises:
        ModelError: no adapter there, or one of another model. ConfigError: peft is not installed.
    """
    if not (folder / "adapter_config.json").exists():
        raise ModelError(f"{folder} holds no adapter", hint="train one: python -m workers.train_carriers FOLDER")
    peft = _peft()
    give_input(model)
    try:
        with _quiet():
            return peft.PeftModel.from_pretrained(model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the adapter in {folder} does not fit this model: {error}") from error


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError("carriers that are trained need the peft library", hint='pip install "footage[train]"') from error
    return peft


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that peft asks transformers by a name that will go."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield
