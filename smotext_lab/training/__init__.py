"""How a bridge is made from sentences: corpus → lexical head → soft tokens and LoRA."""

from smotext_lab.training.lexical import LexicalRecipe
from smotext_lab.training.run import train_bridge
from smotext_lab.training.trainer import BridgeRecipe

__all__ = ["BridgeRecipe", "LexicalRecipe", "train_bridge"]
