"""Every notebook runs from top to bottom in a kernel of its own, as a reader would run it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def text_of(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs
    )


@pytest.mark.timeout(120)
async def test_the_first_strategy_trades_on_paper_while_a_cell_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOKS / "01_first_strategy.ipynb", as_version=4)

    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}})
    await client.async_execute(env=dict(os.environ))

    said = text_of(notebook)
    events = re.search(r"while the desk handled ([\d,]+) events", said)
    latency = re.search(r"tick to order: p50 [\d.]+ ms, p99 [\d.]+ ms over (\d+) orders", said)
    assert events is not None
    assert int(events[1].replace(",", "")) > 0
    assert latency is not None
    assert int(latency[1]) > 0
    assert "equal, byte for byte" in said


PROGRESS = """
import sys
{before}
from ibdesk import Strategy, backtest, sample_daily_bars
class Idle(Strategy):
    pass
print(backtest(Idle(), sample_daily_bars(), progress=True).stats.trades)
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("before", ["", "sys.modules['ipywidgets'] = None"], ids=["with ipywidgets", "without"])
async def test_a_progress_bar_warns_about_nothing(before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRESS.format(before=before))])

    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    await client.async_execute(env=dict(os.environ))

    outputs = notebook.cells[0].outputs
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert "0" in text_of(notebook)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)

    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
