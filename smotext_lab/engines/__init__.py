"""How a language model is run: soft tokens in, token ids out."""

from smotext_lab.engines.base import Engine, Generated, Sampling

__all__ = ["Engine", "Generated", "Sampling"]
