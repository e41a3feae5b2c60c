"""Settings: defaults < footage.toml < environment < flags, checked, and each knows where it came from.

Each stage keeps its own small dataclass beside the class that it configures; this file composes them and no stage sees the whole.
"""

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from footage.addresses import HIDDEN, without_credentials
from footage.errors import ConfigError
from frame_select.gate import GateConfig
from frame_select.registry import SELECTORS
from ingest.channels.objects import ObjectsConfig
from ingest.channels.speech import SpeechConfig
from ingest.file_source import SamplingConfig
from ingest.limits import Limits
from ingest.live.config import LiveConfig
from ingest.net.config import NetConfig
from ingest.ocr import OcrConfig
from memory.mergers import MERGERS
from memory.redis.config import RedisConfig
from memory.retention import RetentionConfig
from memory.stores import folder_of
from qa.answerers.chat_server import DEFAULT_LIMITS, PREFIX, Endpoint
from qa.answerers.dropping import PRESETS
from qa.answerers.focusing import METHODS
from qa.answerers.vlm import DEFAULT_LIMITS as VLM_LIMITS
from qa.answerers.weights import WEIGHTS
from qa.rerank import MOST
from qa.route import ROUTES
from qa.support import CHECKS
from workers.alerts.config import AlertsConfig

FILE = "footage.toml"
_STRICT = ConfigDict(extra="forbid", frozen=True)


def _one_of(names: Iterable[str]) -> AfterValidator:
    """Refuses what is not among the names, naming them."""
    known = tuple(names)

    def check(name: str) -> str:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            shown = ", ".join(each or '""' for each in known)
            raise ValueError(f"known are {shown}" + (f"; did you mean {near[0]}?" if near else ""))
        return name

    return AfterValidator(check)


def _sound_endpoint(model: str) -> str:
    """The same name. Raises ConfigError where it names a server that nobody could find."""
    if model.startswith(PREFIX):
        Endpoint.parse(model)
    return model


class _Section(BaseModel):
    model_config = _STRICT


class IndexConfig(_Section):
    """Writing: what is kept of footage."""

    encoder: str = "color"
    """"color", "nano" (knows only its own drawn world), or a SigLIP, SigLIP2 or CLIP checkpoint: a local folder or a hub id."""
    carriers: str = ""
    """A video-language checkpoint (a local folder or a hub id) whose tower makes the tokens, for itself to read when it is asked; "":
    `encoder` makes them. Found is in either case by `encoder`. See docs/models.md."""
    merger: Annotated[str, _one_of(MERGERS)] = "details"
    """How tokens are merged, see docs/compression.md."""
    tokens_per_carrier: Annotated[int, Field(ge=1)] = 24
    tokens: Literal["int8", "float16"] = "int8"
    """Numbers of what is kept: tokens in eight bits with a scale each and keys in sixteen ("int8"), or in 16 and 32 bits. Segments of
    both are read alike, so it may change at any time; see docs/compression.md."""
    gate: Literal["change", "all"] = "change"
    ocr: Literal["auto", "on", "off"] = "auto"
    """Read text on the screen; auto: when the `ocr` extra is installed."""
    side_px: Annotated[int, Field(ge=16, le=8192)] = 384
    """Longer side of the frames that encoders see."""
    ocr_side_px: Annotated[int, Field(ge=64, le=8192)] = 1920
    """Longer side of the frames that text is read from."""
    thumbnail_px: Annotated[int, Field(ge=16, le=4096)] = 256
    jobs: Annotated[int, Field(ge=0)] = 0
    """Segments worked on at a time; 0: as many as there are cores."""
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"


class AskConfig(_Section):
    """Reading: what a question may spend and who answers."""

    model: Annotated[str, AfterValidator(_sound_endpoint)] = "auto"
    """"none", "template", "nano", a checkpoint that reads this library's carriers (a local folder or a hub id), "openai:URL#NAME" for a
    model of a server (docs/models.md), or "auto": the checkpoint of `index.carriers` where it wrote them, nano for what nano's encoder
    wrote, template for the colour encoder, else none."""
    selector: Annotated[str, _one_of(SELECTORS)] = "peaks"
    """How frames are chosen, see docs/selection.md."""
    coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the budget spread evenly over time whatever matches, for questions about the whole; None: what the selector itself takes."""
    budget: Annotated[int, Field(ge=0)] = 4096
    """Visual tokens."""
    overview: Annotated[int, Field(ge=0)] = 128
    """Visual tokens, of the budget a quarter at most, in which a model sees all that is asked about, whatever is asked; 0: none.
    nano, which reads row by row, has none."""
    route: Annotated[str, _one_of(("auto", *ROUTES))] = "auto"
    """Where to look: "now" (the last seconds), "overall" (evenly over the whole), "local" (what matches); auto: as the question says."""
    check: Annotated[str, _one_of(CHECKS)] = "score"
    """A second look at what an answer points at: by "score", by the "model" that answers (a pass each), or "none"."""
    focus: Annotated[str, _one_of(("", *METHODS))] = ""
    """How a frame's tokens are made fewer with the question's words, right before the language model, see docs/compression.md."""
    focus_tokens: Annotated[int, Field(ge=1)] = 8
    """Tokens of a frame that `focus` leaves; llama-vid always leaves two."""
    drop: Annotated[str, _one_of(("none", *PRESETS))] = "none"
    """How visual tokens leave the language model on the way, from 4,096 of them on, see docs/compression.md."""
    weights: Annotated[str, _one_of(WEIGHTS)] = "full"
    """Of a language model on this machine: "full", or "8bit" or "4bit" through bitsandbytes (extra `quantized`)."""
    kv: Literal["none", "budget", "offload"] = "none"
    """A model reads all that is asked about once, before the evidence of each question, and keeps keys and values: of so many tokens
    ("budget"), or all of them on the host, of which so many are fetched ("offload"); see docs/speed.md."""
    kv_tokens: Annotated[int, Field(ge=512)] = 6144
    """Tokens of `kv`, in each layer."""
    moments: Annotated[int, Field(ge=1)] = 5
    rerank: Annotated[int, Field(ge=0, le=MOST)] = 0
    """So many moments are put into the order in which the model finds them helpful, before the best are kept; a pass of the model each."""
    stall_s: Annotated[float, Field(gt=0)] = DEFAULT_LIMITS.stall_s
    """Seconds without a word after which a server of `openai:` is given up."""
    max_s: Annotated[float, Field(gt=0)] = VLM_LIMITS.seconds
    """Seconds after which an answer of a model on this machine is cut."""
    prefix_mib: Annotated[int, Field(ge=0)] | None = None
    """Keys and values that are kept of prompts, for those that begin alike; None: 1,024 on a GPU, 256 else; 0: none."""
    ground: bool = True
    """Decode around the edges of what is cited, to give them to the frame."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FOOTAGE_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=FILE)

    library: str = "./.footage"
    """A directory, or redis://HOST:PORT/DB?name=NAME, see docs/redis.md."""
    offline: bool = False
    """Never fetch anything from a model hub."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    index: IndexConfig = IndexConfig()
    gate: GateConfig = field(default_factory=GateConfig)
    ocr: OcrConfig = field(default_factory=OcrConfig)
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
    limits: Limits = field(default_factory=Limits)
    net: NetConfig = field(default_factory=NetConfig)
    ask: AskConfig = AskConfig()
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    redis: RedisConfig = field(default_factory=RedisConfig)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings and, for each, the place that it came from."""

    settings: Settings
    origins: dict[str, str]
    """Dotted name to "default", "footage.toml", "environment" or "flag"."""

    def rows(self) -> list[tuple[str, Any, str]]:
        """(dotted name, value, origin), in the order of the classes."""
        values = dict(_flat(self.settings.model_dump()))
        for name in ("alerts.webhook", "library"):
            values[name] = without_credentials(values[name])
        values["redis.password"] = HIDDEN if values["redis.password"] else ""
        return [(name, value, self.origins.get(name, "default")) for name, value in values.items()]


def load_settings(flags: dict[str, Any] | None = None) -> Resolved:
    """Resolve all settings; `flags` is nested and wins.

    Raises:
        ConfigError: an unknown key (with the nearest known one) or a value that does not fit.
    """
    flags = _pruned(flags or {})
    _refuse_unknown_environment()
    try:
        settings = Settings(**flags)
        sources = {
            FILE: TomlConfigSettingsSource(Settings)(),
            "environment": {k: v for k, v in _environment().items()},
            "flag": dict(_flat(flags)),
        }
    except ValidationError as error:
        raise _readable(error) from error
    except ValueError as error:  # TOML that is none
        raise ConfigError(f"{FILE} cannot be read: {error}", hint="mend it, or move it away") from error
    origins: dict[str, str] = {}
    for place, values in sources.items():
        origins |= {name: place for name, _ in _flat(values)}
    return Resolved(settings, origins)


def _known() -> list[str]:
    return [name for name, _ in _flat(Settings.model_construct().model_dump())]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return rows


def _pruned(flags: dict[str, Any]) -> dict[str, Any]:
    """Without the flags that were not given (None)."""
    kept = {k: _pruned(v) if isinstance(v, dict) else v for k, v in flags.items()}
    return {k: v for k, v in kept.items() if v is not None and v != {}}


def _environment() -> dict[str, str]:
    """Dotted name to value of the FOOTAGE_ variables that are set."""
    own = {k: v for k, v in os.environ.items() if k.startswith("FOOTAGE_") and k != "FOOTAGE_REQUIRE"}
    return {k.removeprefix("FOOTAGE_").lower().replace("__", "."): v for k, v in own.items()}


def _refuse_unknown_environment() -> None:
    """A mistyped variable is an error too: otherwise it would be ignored in silence."""
    known = _known()
    for name in _environment():
        if name not in known:
            variable = "FOOTAGE_" + name.upper().replace(".", "__")
            raise ConfigError(f"the environment sets {variable}, which is no setting", hint=_nearest(name, known))


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {close[0]!r}? `footage config` lists them all" if close else "`footage config` lists them all"


def _readable(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return ConfigError(f"there is no setting {name!r}", hint=_nearest(name, _known()))
    return ConfigError(
        f"setting {name!r} is {first.get('input')!r}: {first['msg'].removeprefix('Value error, ').lower()}",
        hint="`footage config` shows what is in force",
    )


def find_library(settings: Settings) -> Path:
    """The folder of its files on this machine, see memory.stores.folder_of."""
    return folder_of(settings.library, settings.redis)
