"""The reference components that ship with sai_bench, registered like any outsider's."""
