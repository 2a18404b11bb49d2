"""The team executive, rendered from its team.yaml. Change that file, not this folder."""
