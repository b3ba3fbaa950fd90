"""A third-party plugin for sai_bench: the compressor `cone`."""
