"""What an evaluation leaves behind: a table to read, JSON with every answer, and a picture."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workers.bench_decode import machine
from workers.eval_charts import bars, curve, heat_map
from workers.eval_stats import Interval, table

Emit = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Report:
    """Filled in while an evaluation runs."""

    name: str
    """The verb: "eval world"."""
    config: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    """One a question and method: what was asked, answered and true."""
    tables: list[tuple[str, Sequence[Mapping[str, Any]]]] = field(default_factory=list)
    curve: Mapping[str, Sequence[tuple[float, Interval]]] = field(default_factory=dict)
    bars: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    heat: tuple[Any, Sequence[str], Sequence[str]] | None = None
    """Shares (rows, columns) and their names, for a heat map."""
    heat_title: str = ""
    checks: list[dict[str, Any]] = field(default_factory=list)
    x_label: str = ""
    log_x: bool = False
    begun: float = field(default_factory=time.perf_counter)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.tables.append((title, rows))

    def bar(self, name: str, value: float, bar: float) -> None:
        """A figure that the product is held to."""
        self.checks.append({"name": name, "value": round(value, 4), "bar": bar, "holds": value >= bar})

    def markdown(self) -> str:
        facts = self.facts()
        on = f"{facts['machine']['cores']} cores ({facts['machine']['cpu']})"
        about = f"`footage {self.name}`, {facts['seconds']} s on {on}, commit {facts['commit']}"
        parts = [about, *(f"**{title[0].upper()}{title[1:]}**\n\n{table(rows)}" for title, rows in self.tables)]
        return "\n\n".join(parts) + "\n"

    def facts(self) -> dict[str, Any]:
        """command, config, commit, versions, machine, seconds, bars (name, value, bar, holds)."""
        return {"command": f"footage {self.name}", "config": {k: str(v) for k, v in self.config.items()}, "commit": commit(),
                "versions": {name: version(name) for name in ("footage", "torch", "transformers", "numpy")},
                "machine": machine(), "seconds": round(time.perf_counter() - self.begun, 1), "bars": self.checks}  # fmt: skip

    def write(self, folder: Path) -> Path:
        """NAME.md, NAME.json and, where there is something to draw, NAME.png."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / self.name.replace(" ", "-")
        stem.with_suffix(".md").write_text(self.markdown())
        stem.with_suffix(".json").write_text(json.dumps(self.facts() | {"answers": list(self.rows)}, indent=1, default=str))
        if self.curve:
            label = "share of questions" if all(i.unit == "%" for points in self.curve.values() for _, i in points) else ""
            curve(stem.with_suffix(".png"), self.curve, title=f"footage {self.name}", x_label=self.x_label, y_label=label, log_x=self.log_x)
        if self.bars:
            bars(stem.with_name(f"{stem.name}-kinds.png"), self.bars, title=f"footage {self.name}", x_label="right answers")
        if self.heat:
            cells, rows, columns = self.heat
            heat_map(stem.with_suffix(".png"), cells, row_names=rows, column_names=columns, title=self.heat_title,
                     row_label="depth", column_label="length of the footage")  # fmt: skip
        return stem.with_suffix(".md")

    def show(self, out: Path | None, emit: Emit | None) -> None:
        """Print the tables, or emit every answer and then the facts."""
        if emit is None:
            print(self.markdown())
        else:
            for row in self.rows:
                emit(json.loads(json.dumps(row, default=str)))
            emit(self.facts())
        if out is not None:
            self.write(out)


def commit() -> str:
    """Of the code that ran, where it runs from a checkout."""
    here = Path(__file__).parent
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or version("footage")
