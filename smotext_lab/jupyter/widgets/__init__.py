"""Widgets: each a class with a Python interface, composed of ipywidgets where they have a part.

`InterpolationExplorer` (`explorer`), `LatentMap` (`latent_map`), `ClassBalance` (`balance`) and
`SynthesisReview` (`review`); all are names of `smotext_lab`.
"""
