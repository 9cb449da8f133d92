"""What the service refuses, and says in one line."""

from __future__ import annotations


class BadTarget(Exception):
    """What was asked for makes no sense; the text says what was expected and seen."""


class UnknownTarget(Exception):
    """No target of that name is known."""


class NotCounting(Exception):
    """A reader did not begin, or stopped; the text is its own last line."""
