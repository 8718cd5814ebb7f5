"""Colours and letters of Gradio's own fields, dark enough to be read (WCAG 2.1, 1.4.3: 4.5 to 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["theme"]


def theme() -> gr.themes.Base:
    """Gradio's Soft with the machine's own letters; its labels, hints and buttons are a shade too light."""
    import gradio as gr

    soft = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return soft.set(
        block_title_text_color="*primary_700",
        block_label_text_color="*primary_700",
        body_text_color_subdued="*neutral_600",
        color_accent="*primary_600",
        checkbox_label_background_fill_selected="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )
