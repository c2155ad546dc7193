"""Widgets: each a class with a Python interface, composed of ipywidgets."""

from smotext_lab.jupyter.widgets.explorer import InterpolationExplorer

__all__ = ["InterpolationExplorer"]
