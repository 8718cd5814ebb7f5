"""Rounds out of the ordinary: answers without words, clips of all kinds, more slots than rows."""

from __future__ import annotations
