"""Counts words that it is sent."""
