"""How a bridge is made from sentences: corpus → lexical head → soft tokens and LoRA."""
