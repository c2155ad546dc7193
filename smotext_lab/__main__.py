"""``python -m smotext_lab`` is ``smotext-lab``."""

from smotext_lab.cli import main

if __name__ == "__main__":
    main()
