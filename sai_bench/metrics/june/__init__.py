"""How the June evaluator (2026-06-30) reads, draws, matches and sums up."""
