"""Guards around every test: a clean environment, no unexpected error logs, footage's own test media."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background; what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared" / "videos"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No FOOTAGE_ variable, no footage.toml and no hub leaks into a test."""
    for name in list(os.environ):
        if name.startswith("FOOTAGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors or request.node.get_closest_marker("logs_errors"), errors


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Real footage beside the checkout; tests that use it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no real footage beside this checkout")
    return SHARED
