"""`python -m tsrep` is `tsrep`."""

from tsrep.cli import main

main()
