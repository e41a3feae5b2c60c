"""The structure itself: layers, public surface, import names, lazy imports, packaging."""

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import footage

ROOT = Path(__file__).parents[1]
FLOOR, VERBS, ROOF = "footage", ("ingest", "frame_select", "memory", "qa", "nano"), "workers"
PACKAGES = (FLOOR, *VERBS, ROOF)


def imports_of(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", VERBS)
def test_siblings_import_the_floor_and_never_each_other(package: str) -> None:
    allowed = {package, FLOOR}
    wrong = {f"{path.name}: {name}" for path in sources(package) for name in imports_of(path) & set(PACKAGES) - allowed}
    assert not wrong


def test_the_floor_stands_on_the_standard_library_and_numpy_and_looks_up_once() -> None:
    for path in sources(FLOOR):
        ours = imports_of(path) & set(PACKAGES) - {FLOOR}
        assert ours == ({ROOF} if path.name == "__init__.py" else set())
        assert imports_of(path) - set(PACKAGES) <= set(sys.stdlib_module_names) | {"numpy"}


def test_a_planted_import_between_siblings_would_be_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from memory.merge import fuse\n")
    assert imports_of(planted) & set(VERBS) == {"memory"}


def test_the_public_surface_is_what_all_says() -> None:
    public = {name for name, value in vars(footage).items() if not name.startswith("_") and not _is_module(value)}
    assert public - {"TYPE_CHECKING", "Any"} == set(footage.__all__)


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"


def test_the_wheel_carries_every_package_on_disk_and_no_other() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = {str(p.parent.relative_to(ROOT)).replace("/", ".") for package in PACKAGES for p in (ROOT / package).rglob("__init__.py")}
    assert set(listed) == on_disk


def test_nobody_else_owns_our_import_names() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, ["footage"])) for name in PACKAGES} == {name: {"footage"} for name in PACKAGES}


HEAVY = (
    "torch",
    "transformers",
    "faiss",
    "av",
    "decord",
    "PIL",
    "rapidocr",
    "onnxruntime",
    "cv2",
    "pydantic",
    "rich.progress",
    "matplotlib",
)


LIGHT = (
    "footage",
    "workers.cli",
    "memory.local_store",
    "qa.ask",
    "frame_select.registry",
    "memory.encoders.registry",
    "nano.world",
    "nano.train",
)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_nothing_heavy_and_configures_nothing(module: str) -> None:
    code = f"import sys, logging; import {module}; print([m for m in {HEAVY!r} if m in sys.modules], logging.getLogger().handlers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"
    assert done.stderr == ""
