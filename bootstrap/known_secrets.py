"""The secrets this company holds, by name: what must stand in no change, and leave in no text."""

from __future__ import annotations

from bootstrap.home import Home
from bootstrap.settings import Settings


def known_secrets(settings: Settings, home: Home) -> dict[str, str]:
    """Name -> value, read anew. Raises `OSError`: what cannot be read cannot be looked for."""
    folder = home.path / "keys"
    keys = {
        f"key {path.relative_to(folder)}": path.read_text(errors="replace").strip()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    given = {
        "OPENAI_API_KEY": settings.openai_api_key,
        "ANTHROPIC_API_KEY": settings.anthropic_api_key,
        "ELF_MODEL_API_KEY": settings.model_api_key,
        **{f"ELF_ALERT_URLS ({index})": url for index, url in enumerate(settings.alert_urls, 1)},
        **settings.provider_keys,
        **{f"ELF_SECRET_{name}": value for name, value in settings.server_secrets.items()},
    }
    return keys | {name: value for name, value in given.items() if value}
