"""Tests of executive."""
