"""Region caption (``region_caption_*``): what does the object in the drawn box do from t0 to t1?

Question (paraphrased): persona and domain, "what is the object in the box doing from 0.0 to 4.0 seconds?".
The box is drawn on the frame at t0 (``RC_info``), not told in the text. Answer: free text, for example
"The suction cannula in the left hand clears fluid near the incision." Scored by similarity and judge.
"""

from __future__ import annotations

from typing import ClassVar

from medgrpo.tasks.base import FreeText

__all__ = ["RegionCaption"]


class RegionCaption(FreeText):
    """RC."""

    name: ClassVar[str] = "region_caption"
    qa_types: ClassVar[tuple[str, ...]] = ("region_caption_gpt", "region_caption_gemini", "region_caption")
    forms: ClassVar[tuple[str, ...]] = (
        "What does the instrument in the box at {start} seconds do from {start} to {end} seconds?",
        "Describe the boxed instrument at {start} seconds, from {start} to {end} seconds.",
    )
    max_new_tokens: ClassVar[int] = 128
