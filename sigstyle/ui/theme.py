"""How the page looks: a calm theme from system fonts, and the little CSS and script that Gradio has no setting for."""

from pathlib import Path

import gradio as gr
from gradio.themes import Base
from gradio.themes.utils import colors, sizes

_FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
_COLOURS = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "#17161a",
    "block_background_fill": "white",
    "block_background_fill_dark": "#211f25",
    "block_border_width": "1px",
    "block_border_color": "*neutral_200",
    "block_border_color_dark": "#35323b",
    "block_shadow": "none",
    "block_label_background_fill": "white",
    "block_label_background_fill_dark": "#211f25",
    "block_label_text_color": "*neutral_600",
    "block_label_text_color_dark": "*neutral_300",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_200",
    "block_title_background_fill": "transparent",
    "block_title_background_fill_dark": "transparent",
    "body_text_color_subdued": "*neutral_500",
    "body_text_color_subdued_dark": "*neutral_400",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "block_info_text_color": "*neutral_500",
    "block_info_text_color_dark": "*neutral_400",
    "input_background_fill": "*neutral_50",
    "input_background_fill_dark": "#2a2830",
    "background_fill_secondary_dark": "#1c1b20",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover_dark": "*primary_500",
    "button_primary_text_color": "white",
    "button_primary_shadow": "none",
    "button_secondary_shadow": "none",
    "button_large_text_weight": "600",
    "slider_color": "*primary_500",
    "checkbox_border_color": "*neutral_300",
    "checkbox_border_color_dark": "#5a5663",
    "checkbox_label_border_width": "1px",
    "checkbox_label_border_color": "*neutral_200",
    "checkbox_label_border_color_dark": "#35323b",
    "button_secondary_background_fill": "white",
    "button_secondary_background_fill_dark": "#2a2830",
    "button_secondary_background_fill_hover_dark": "#35323b",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "#45414d",
    "button_border_width": "1px",
    "button_primary_border_color": "transparent",
    "button_primary_border_color_dark": "transparent",
    "checkbox_label_background_fill_selected": "*primary_600",
    "checkbox_label_background_fill_selected_dark": "*primary_600",
    "checkbox_label_background_fill_dark": "#2a2830",
    "checkbox_label_background_fill_hover_dark": "#35323b",
    "checkbox_label_shadow": "none",
    "input_shadow": "none",
}


def theme() -> Base:
    """Warm greys, one accent, soft corners, nothing fetched from anywhere."""
    return gr.themes.Soft(
        primary_hue=colors.indigo,
        secondary_hue=colors.indigo,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=_FONTS,
        font_mono=_MONO,
    ).set(**_COLOURS)
