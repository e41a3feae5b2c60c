"""A note of the library: by which names the encoders of a library were loaded, so that it can be asked without naming them again."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from workers.config import IndexConfig, Settings
from workers.models import NAMED

NOTE = "encoders"
DEFAULT_ENCODER = "color"


@dataclass(frozen=True, slots=True)
class Names:
    encoder: str
    carriers: str = ""
    """The checkpoint whose tower made the tokens; "": the encoder did."""

    @classmethod
    def of(cls, index: IndexConfig) -> Self:
        """As settings have them, true also from another working directory."""
        own = index.encoder in NAMED  # a folder that happens to be called "nano" is not meant
        return cls(index.encoder if own else settled(index.encoder), settled(index.carriers))

    def __str__(self) -> str:
        """As flags of the command line, after --encoder."""
        return f"{self.encoder} --carriers {self.carriers}" if self.carriers else self.encoder


def settled(name: str) -> str:
    """The whole path of a folder; any other name as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if name and folder.is_dir() else name


class Notes(Protocol):
    """What a store must offer."""

    def note(self, name: str) -> dict[str, Any] | None: ...

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None: ...


def known(store: Notes) -> dict[str, Names]:
    """Encoder id to names."""
    kept = store.note(NOTE) or {}
    return {id: Names(names) if isinstance(names, str) else Names(**names) for id, names in kept.items()}


def keep(store: Notes, encoder_id: str, names: Names) -> None:
    """Another one of a library."""
    before = known(store)
    every = before | {encoder_id: names}
    if every != before:
        store.keep_note(NOTE, {id: asdict(n) if n.carriers else n.encoder for id, n in every.items()})


def chosen(store: Notes, written: Iterable[str], settings: Settings) -> tuple[str, Names] | None:
    """(id, names) of what wrote a library, as far as settings leave it open; the model that is asked says whose carriers are meant.

    None where nothing that is remembered fits, or several do: then settings stand as they are.
    """
    own, model, every = Names.of(settings.index), settled(settings.ask.model), known(store)
    fits = {id: every[id] for id in sorted(written) if id in every and own.carriers in ("", every[id].carriers)}
    fits = {id: names for id, names in fits.items() if own.encoder in (DEFAULT_ENCODER, names.encoder)}
    fits = {id: names for id, names in fits.items() if names.carriers == model} or fits
    if len(fits) > 1 and len({names.encoder for names in fits.values()}) == 1:
        fits = {id: names for id, names in fits.items() if not names.carriers}
    return next(iter(fits.items())) if len(fits) == 1 else None
