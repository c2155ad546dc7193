"""The modality bridge: from a sentence vector to soft tokens that an LLM reads as words.

Two kinds. ``mlp2x_gelu`` is xRAG's projector, one token a vector. ``lexical`` first says
which words the vector stands for, hands the LLM its own embeddings of them, and adds a few
learnt tokens for what words do not say.
"""

from smotext_lab.bridges.base import Bridge, BridgeFacts
from smotext_lab.bridges.files import bridge_identity, load_bridge
from smotext_lab.bridges.lexical import LexicalBridge, LexicalHead, split_of, split_words
from smotext_lab.bridges.projector import ProjectorBridge

__all__ = [
    "Bridge",
    "BridgeFacts",
    "LexicalBridge",
    "LexicalHead",
    "ProjectorBridge",
    "bridge_identity",
    "load_bridge",
    "split_of",
    "split_words",
]
