"""`python -m sai_bench.cli`: the command line without its script."""

from sai_bench.cli.main import main

main()
