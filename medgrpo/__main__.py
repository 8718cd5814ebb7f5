"""``python -m medgrpo``, and the file for launchers that want one: ``fabric run medgrpo/__main__.py fit``."""

import sys

# Run as a file, this folder comes first on the import path, where types.py would hide the standard library's.
_folder = __file__.rpartition("/")[0]
if __spec__ is None and sys.path[0] == _folder:
    sys.path[0] = _folder.rpartition("/")[0]

from medgrpo.cli import main  # noqa: E402 (the import path had to be put right first)

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
