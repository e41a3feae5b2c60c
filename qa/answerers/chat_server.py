"""A server of chat completions: where it is, how long it may take, and what its failures mean."""

import os
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from footage.errors import AnswererUnavailable, ConfigError, FootageError, ModelError, ModelMissing

PREFIX = "openai:"
KEY = "OPENAI_API_KEY"
EXAMPLE = 'write "openai:http://127.0.0.1:8000/v1#NAME"'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model of a server."""

    url: str
    """Up to /v1; "": the client's own, which is OPENAI_BASE_URL where that is set."""
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From openai:URL#NAME or openai:#NAME. Raises ConfigError where it is neither."""
        url, _, name = text.removeprefix(PREFIX).partition("#")
        if not name.strip():
            raise ConfigError(f"{text!r} names no model of the server: expected #NAME at its end", hint=EXAMPLE)
        try:
            parts = urlsplit(url)
            sound = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            sound = False
        if not sound:
            raise ConfigError(f"{url!r} is no address of a server: expected http:// or https://, a host, and mostly /v1", hint=EXAMPLE)
        if parts.username is not None or parts.query:
            raise ConfigError("the address of a server holds a name, a key or a question mark", hint=f"put the key into {KEY}")
        return cls(url.rstrip("/"), name.strip())

    @property
    def where(self) -> str:
        return self.url or "the client's own address"

    def __str__(self) -> str:
        return f"{PREFIX}{self.url}#{self.name}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much."""

    connect_s: float = 10.0
    stall_s: float = 120.0
    """Without a byte: before the first token, which takes the longest, and between tokens."""
    total_s: float = 600.0
    """From the question to the last token; a reply that takes longer is cut."""
    new_tokens: int = 1024
    """With what a model only thinks."""
    tries: int = 3
    """Where nobody answers, or busy (429) or broken (5xx) is the answer; the client waits longer before each."""


DEFAULT_LIMITS = Limits()


def client_library() -> Any:
    """The `openai` package. Raises ConfigError where it is missing."""
    try:
        import openai
    except ImportError as error:
        raise ConfigError(f"models of a server need the openai client: {error}", hint='pip install "footage[openai]"') from error
    return openai


def client_of(at: Endpoint, limits: Limits) -> Any:
    """A client that retries by itself. Raises ConfigError where there is neither an address nor a key."""
    openai = client_library()
    key = os.environ.get(KEY) or ("none" if at.url else None)  # servers without keys ignore it, the client insists on one
    try:
        return openai.OpenAI(
            api_key=key, base_url=at.url or None, max_retries=limits.tries - 1,
            timeout=openai.Timeout(limits.stall_s, connect=limits.connect_s),
            http_client=openai.DefaultHttpxClient(follow_redirects=False),  # pictures go where the user said and nowhere else
        )  # fmt: skip
    except openai.OpenAIError as error:
        raise ConfigError(f"no key for {at}: {KEY} is not set", hint=f"set it, or name a server of your own: {EXAMPLE}") from error


def unreachable(at: Endpoint, error: Exception) -> FootageError:
    return AnswererUnavailable(f"{at.where} cannot be reached: {error.__cause__ or error}", hint="is the server running, and on that port?")


def silent(at: Endpoint, limits: Limits, error: Exception, said: str = "") -> FootageError:
    if "ConnectTimeout" in (type(error).__name__, type(error.__cause__).__name__):
        return AnswererUnavailable(f"{at.where} took no connection in {limits.connect_s:g} s", hint="is the address right?")
    hint = "it may be loading the model: ask again, show it less with --moments 1, or wait longer with ask.stall_s"
    return AnswererUnavailable(f"{at.where} said nothing for {limits.stall_s:g} s, {_so_far(said)}", hint=hint)


def broken(at: Endpoint, why: str, said: str) -> FootageError:
    return AnswererUnavailable(f"{at.where} broke its reply off, {_so_far(said)}: {why}", hint="ask again; the server's log may say why")


def _so_far(said: str) -> str:
    return f"after {len(said)} characters ({said[:60]!r})" if said else "before its first word"


def nonsense(at: Endpoint, found: bytes) -> FootageError:
    said = found[:120].decode(errors="replace")
    return ModelError(f"{at.where} answered with {said!r}; expected a stream of chat completions", hint=f"is it such a server? {EXAMPLE}")


def refusal(at: Endpoint, limits: Limits, error: Any, client: Any) -> FootageError:
    """What a status other than 2xx means."""
    status, said = error.status_code, message(error.body) or error.response.reason_phrase
    if status in (401, 403):
        found = "the key" if os.environ.get(KEY) else "a question without a key"
        return ConfigError(f"{at.where} refuses {found} ({status}): {said}", hint=f"set {KEY}")
    if status == 404:
        return _missing(at, limits, client, said)
    if 300 <= status < 400:
        return ConfigError(f"{at.where} sends on to {error.response.headers.get('location')!r}", hint="name that address")
    if status == 429 or status >= 500:
        state = "is too busy, or a quota is used up" if status == 429 else "failed"
        return AnswererUnavailable(f"{at.where} {state} ({status}, {limits.tries} tries): {said}", hint="ask again later")
    hint = "it must be a model that reads pictures, several in one question; show it less with --moments 1"
    return ModelError(f"{at.where} refuses the question ({status}): {said}", hint=hint)


def _missing(at: Endpoint, limits: Limits, client: Any, said: str) -> FootageError:
    """Of 404: no such model, where the server can list those that it has, else no such address."""
    try:
        known = [model.id for model in client.with_options(max_retries=0, timeout=limits.connect_s).models.list().data]
    except Exception:  # only asked for the hint: whatever came is no list
        known = []
    if not known or at.name in known:
        return ConfigError(f"{at.where} has no chat completions for {at.name!r} (404): {said}", hint="most addresses end in /v1")
    listed = ", ".join(map(repr, known[:8])) + (" ..." if len(known) > 8 else "")
    return ModelMissing(f"{at.where} has no model {at.name!r}; it has {listed}", hint=f'--model "{PREFIX}{at.url}#{known[0]}"')


def message(body: Any) -> str:
    """What an error's body says, shortened."""
    said = (body.get("message") or body) if isinstance(body, dict) else body
    return " ".join(str(said or "").split())[:200]
