"""Runs what nobody should have to trust: the port, its adapters, and the choice among them."""
