"""Public sources that the rehearsal model knows, as tools of an internal server. No key is needed for any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp_servers.gateway.rehearsal.domain import stems


@dataclass(frozen=True)
class Source:
    """`words` are stems of which a wish for it has at least one; `ability` is what it does, in words of its tool and purpose."""

    name: str
    words: frozenset[str]
    ability: str
    purpose: str
    description: str
    tool: dict[str, Any]


def _text(name: str, description: str, length: int = 100) -> dict[str, Any]:
    return {"name": name, "description": description, "max_length": length}


def _get(url: str, into: str = "found", **query: str) -> dict[str, Any]:
    return {"do": "http_get", "url": url, "query": query, "into": into}


SOURCES: tuple[Source, ...] = (
    Source(
        "currency",
        stems("currency currencies exchange forex euros dollars"),
        "convert-currency",
        "Converts amounts between currencies",
        "Converts by the European Central Bank's daily reference rates, from frankfurter.dev. No key is needed.",
        {
            "name": "convert",
            "description": "An amount of one currency in another, by today's reference rate: date, base, and the amount by currency.",
            "inputs": [
                {"name": "amount", "type": "number", "description": "How much, such as 25.5"},
                _text("source", "The currency it is in, by its three-letter code, such as EUR", 3),
                _text("target", "The currency wanted, by its three-letter code, such as USD", 3),
            ],
            "steps": [
                _get(
                    "https://api.frankfurter.dev/v1/latest",
                    "result",
                    **{"amount": "{amount}", "from": "{source}", "to": "{target}"},
                )
            ],
        },
    ),
    Source(
        "weather",
        stems("weather forecast temperature rain"),
        "weather-current",
        "The current weather, for any place",
        "Finds a place by its name and says how the weather is there, from open-meteo.com. No key is needed.",
        {
            "name": "current",
            "description": "Temperature in degrees Celsius and wind in km/h, now, at the place that best fits the name.",
            "inputs": [_text("place", "A place's name, such as Lisbon", 80)],
            "steps": [
                _get("https://geocoding-api.open-meteo.com/v1/search", name="{place}", count="1"),
                _get(
                    "https://api.open-meteo.com/v1/forecast",
                    "now",
                    latitude="{found.results.0.latitude}",
                    longitude="{found.results.0.longitude}",
                    current="temperature_2m,wind_speed_10m",
                ),
                {
                    "do": "template",
                    "text": "{found.results.0.name}: {now.current.temperature_2m} degrees Celsius, "
                    "wind {now.current.wind_speed_10m} km/h",
                },
            ],
        },
    ),
    Source(
        "encyclopedia",
        stems("wikipedia encyclopedia encyclopaedia"),
        "encyclopedia-search",
        "Searches the encyclopedia Wikipedia",
        "Searches the English Wikipedia and gives titles with the passages that fit. No key is needed.",
        {
            "name": "search",
            "description": "The five articles that fit the words best: title, page id and a passage of each.",
            "inputs": [_text("words", "What to look for", 200)],
            "steps": [
                _get(
                    "https://en.wikipedia.org/w/api.php",
                    action="query",
                    list="search",
                    format="json",
                    srlimit="5",
                    srsearch="{words}",
                ),
                {
                    "do": "transform",
                    "source": "found",
                    "pick": "query.search",
                    "keep": ["title", "pageid", "snippet"],
                },
            ],
        },
    ),
    Source(
        "holidays",
        stems("holiday holidays"),
        "list-holidays",
        "Lists the public holidays of a country",
        "The public holidays of a year by country, from date.nager.at. No key is needed.",
        {
            "name": "list",
            "description": "The public holidays of a country in a year: date, local name and English name of each.",
            "inputs": [
                {"name": "year", "type": "integer", "description": "The year, such as 2026"},
                _text("country", "The country by its two-letter code, such as PT", 2),
            ],
            "steps": [
                _get("https://date.nager.at/api/v3/PublicHolidays/{year}/{country}"),
                {"do": "transform", "source": "found", "keep": ["date", "localName", "name"]},
            ],
        },
    ),
    Source(
        "dictionary",
        stems("dictionary definition definitions"),
        "dictionary-define",
        "An English dictionary",
        "What English words mean, from dictionaryapi.dev. No key is needed.",
        {
            "name": "define",
            "description": "The meanings of an English word, by part of speech.",
            "inputs": [_text("word", "One English word", 60)],
            "steps": [
                _get("https://api.dictionaryapi.dev/api/v2/entries/en/{word}"),
                {"do": "transform", "source": "found", "first": 1, "keep": ["word", "meanings"]},
            ],
        },
    ),
    Source(
        "books",
        stems("book books isbn"),
        "search-books",
        "Searches books by title and author",
        "Searches the catalogue of openlibrary.org. No key is needed.",
        {
            "name": "search",
            "description": "The five books that fit the words best: title, authors and the year they first came out.",
            "inputs": [_text("words", "Title, author or both", 200)],
            "steps": [
                _get(
                    "https://openlibrary.org/search.json",
                    q="{words}",
                    limit="5",
                    fields="title,author_name,first_publish_year",
                ),
                {"do": "transform", "source": "found", "pick": "docs"},
            ],
        },
    ),
)
