"""`python -m ganforge.cli`."""

from . import main

main()
