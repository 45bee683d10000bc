"""`python -m launcher` is `evolab`."""

from launcher.cli import main

main()
