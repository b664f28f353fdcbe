"""`python -m ganforge`, and what `torchrun -m ganforge train ...` starts."""

from .cli import main

main()
