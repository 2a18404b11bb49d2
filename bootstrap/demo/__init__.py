"""The whole story, played in a throw-away home."""
