"""``python -m smotext_lab.jupyter.launcher`` makes the launcher's cards and starters anew."""

from pathlib import Path

from smotext_lab.jupyter.launcher import write

write(Path(__file__).parents[3] / "notebooks")
