"""Counting."""

from collections import Counter


def count_words(text: str) -> dict[str, int]:
    """How often each word stands in the text, the most frequent first."""
    return dict(Counter(text.lower().split()).most_common())
