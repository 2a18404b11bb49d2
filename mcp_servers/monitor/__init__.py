"""Watching the company: the eight resources, alerts to people, metrics and traces for those who run machines."""
