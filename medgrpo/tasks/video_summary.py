"""Video summary (``video_summary_*``): what happens in the clip, in one or two sentences?

Question (paraphrased): persona and domain, "summarise the clip". Answer: free text, for example
"The nurse disinfects the arm, inserts the needle, draws blood and dresses the site." There is no metric of
its own: summaries are scored by similarity to the reference and by a judge.
"""

from __future__ import annotations

from typing import ClassVar

from medgrpo.tasks.base import FreeText

__all__ = ["VideoSummary"]


class VideoSummary(FreeText):
    """VS."""

    name: ClassVar[str] = "video_summary"
    qa_types: ClassVar[tuple[str, ...]] = ("video_summary_gpt", "video_summary_gemini", "video_summary")
    forms: ClassVar[tuple[str, ...]] = ("Summarise the clip.", "Give a short overview of the clip.")
    max_new_tokens: ClassVar[int] = 256
