"""What the internal servers of the catalogue run on: a small interpreter of steps. No code of a spec is ever executed, there is none."""
