"""`python -m morerl`, the form that launchers call."""

from morerl.cli import main

main()
