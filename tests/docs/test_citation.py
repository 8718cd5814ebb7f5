"""The citation is valid YAML and names the version."""

from __future__ import annotations

import yaml

import medgrpo
from tests.docs.pages import ROOT


def test_the_citation_names_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == medgrpo.__version__
    assert citation["license"] == "Apache-2.0"
