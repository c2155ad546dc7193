"""How a bridge is made from sentences: corpus → lexical head → soft tokens and LoRA → refining."""

from smotext_lab.training.lexical import LexicalRecipe
from smotext_lab.training.refine import RefiningRecipe, refine_bridge
from smotext_lab.training.run import train_bridge
from smotext_lab.training.trainer import BridgeRecipe

__all__ = ["BridgeRecipe", "LexicalRecipe", "RefiningRecipe", "refine_bridge", "train_bridge"]
