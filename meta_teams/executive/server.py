"""Serves executive: the runtime calls `build`. As a program it serves what its deployment says."""

from __future__ import annotations

from .crew import build

__all__ = ["build"]

if __name__ == "__main__":
    from teams.runtime.server import main

    main()
