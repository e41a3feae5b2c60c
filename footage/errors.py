"""What can go wrong, as one tree. Each class declares how a process reports it, so the CLI and the API need no tables.

FootageError
|-- ConfigError            a setting, a flag or an argument cannot be used
|-- SourceError            a source cannot be read
|   |-- SourceNotFound     there is nothing at that path or address
|   |-- NotVideo           readable, but no video stream that we can decode
|   `-- SourceStalled *    a stream stopped sending
|-- DecodeError            the bytes of a source are damaged beyond use
|-- NothingRecorded *      the library holds nothing that could answer
|-- EncoderMismatch        keys written by one encoder were asked with another
|-- Anachronism            asked about a time before what the memory has seen
|-- StoreError             the library cannot be read or written
|-- ModelError             a model cannot be loaded or run
|   |-- ModelMissing       not on this machine and not to be fetched
|   `-- OutOfDeviceMemory *
`-- AnswererUnavailable *  the answering endpoint is away
(* worth trying again)
"""

from typing import ClassVar


class FootageError(Exception):
    """Base of every error meant for the user: what was found, what was expected, where; the hint says what to do."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:  # crosses process boundaries with its hint
        return _rebuild, (type(self), str(self), self.hint)


def _rebuild(kind: type[FootageError], message: str, hint: str) -> FootageError:
    return kind(message, hint=hint)


class ConfigError(FootageError):
    exit_code, http_status = 2, 400


class SourceError(FootageError):
    exit_code, http_status = 3, 422


class SourceNotFound(SourceError):
    exit_code, http_status = 4, 404


class NotVideo(SourceError):
    exit_code, http_status = 5, 415


class SourceStalled(SourceError):
    http_status, retryable = 504, True


class DecodeError(FootageError):
    exit_code, http_status = 6, 422


class NothingRecorded(FootageError):
    exit_code, http_status, retryable = 7, 404, True


class EncoderMismatch(FootageError):
    exit_code, http_status = 8, 409


class Anachronism(FootageError):
    exit_code, http_status = 9, 409


class StoreError(FootageError):
    exit_code, http_status = 10, 500


class ModelError(FootageError):
    exit_code, http_status = 11, 500


class ModelMissing(ModelError):
    exit_code, http_status = 12, 424


class OutOfDeviceMemory(ModelError):
    exit_code, http_status, retryable = 13, 503, True


class AnswererUnavailable(FootageError):
    exit_code, http_status, retryable = 14, 503, True
