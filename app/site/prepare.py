"""What has to be set before Gradio is imported: nothing leaves this machine."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

__all__ = ["prepare_gradio"]

_WRITES_STUBS = "gradio.component_meta"
_SERVES_PROGRAMS = "gradio.mcp"


def prepare_gradio() -> None:
    """Settings that Gradio reads while it is imported, and a working folder without anything to serve."""
    private = tempfile.mkdtemp(prefix="medgrpo-app-")  # 0700
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_RUN_HISTORY="False",
        GRADIO_DEFAULT_CONCURRENCY_LIMIT="8",
        GRADIO_TEMP_DIR=private,
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    if not any(isinstance(finder, _Lean) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Lean())
    empty = Path(private, "empty")
    empty.mkdir()
    os.chdir(empty)


class _Lean(MetaPathFinder):
    """Keeps Gradio from two things while it is imported that no page needs.

    It writes ``.pyi`` files for editors into its own installation: that takes half the time of the import,
    and two dashboards that start together would write the same files. And it imports ``mcp``, an optional
    package for serving programs instead of people, if that happens to be installed: a second more.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "mcp" and _is_being_imported(_SERVES_PROGRAMS):
            raise ModuleNotFoundError(f"{_SERVES_PROGRAMS} does without it", name=fullname)
        if fullname != _WRITES_STUBS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _LoaderWithoutStubs(fullname, spec.origin)
        return spec


def _is_being_imported(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and bool(getattr(module.__spec__, "_initializing", False))


class _LoaderWithoutStubs(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, "create_or_modify_pyi"):
            vars(module)["create_or_modify_pyi"] = lambda *_: None
