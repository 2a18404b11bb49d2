"""The team devops, rendered from its team.yaml. Change that file, not this folder."""
