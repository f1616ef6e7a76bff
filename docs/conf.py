"""Sphinx reads the Markdown pages beside this file. Formulas are plain text, so the pages need no network."""

project = "crossbar-sim"
author = "the crossbar-sim authors"
copyright = author
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "ReRAM crossbar chips that are fine-tuned on the device",
    "page_width": "1240px",
    "body_max_width": "1020px",
    "code_font_size": "0.85em",
}
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
