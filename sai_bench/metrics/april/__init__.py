"""How the April evaluator (2026-04-02) sees regions: drawn fast, masks exact; pairs and average precision."""
