"""The staged pipeline: detect -> prior -> fuse -> compress -> score, one file per recording and stage.

Each file lies under a key made of everything that determines it, so another fusion rule re-runs fusion and
what follows, never the detector, and a killed run goes on where it stopped.
"""
