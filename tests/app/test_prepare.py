"""What Gradio is told before it is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_LOOK = """
import json, os, sys
from pathlib import Path
from app.site.prepare import prepare_gradio
prepare_gradio()
prepare_gradio()  # a second site in one process
opened = []
sys.addaudithook(lambda event, values: event == "open" and opened.append((str(values[0]), values[1] or "")))
import gradio as gr
with gr.Blocks() as blocks:
    gr.Button().click(lambda: None)
print(json.dumps({
    "stubs": [name for name, mode in opened if name.endswith(".pyi")],
    "written": [name for name, mode in opened if set("wax+") & set(mode) and "__pycache__" not in name],
    "limit": blocks._queue.default_concurrency_limit,
    "folder": os.listdir(),
    "mcp": "mcp" in sys.modules,
}))
"""


def test_gradio_writes_nothing_while_it_is_imported_and_queues_have_their_limit() -> None:
    root = Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", _LOOK], cwd=root, capture_output=True, text=True, check=True, timeout=300
    )
    seen = json.loads(said.stdout.splitlines()[-1])
    assert seen == {"stubs": [], "written": [], "limit": 8, "folder": [], "mcp": False}


_ELSEWHERE = """
import sys
from pathlib import Path
from app.site.prepare import prepare_gradio
prepare_gradio()
folder = Path(sys.argv[1])
(folder / "mcp.py").write_text("here = True")
(folder / "wants.py").write_text("import mcp")
sys.path.insert(0, str(folder))
import gradio
assert "mcp" not in sys.modules
import wants
print(wants.mcp.here)
"""


def test_others_find_the_package_that_gradio_does_without(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert said.stdout.split() == ["True"]
