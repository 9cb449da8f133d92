"""The line above Locust's own page."""

from __future__ import annotations

from swarm.page import render_bar


def test_grafana_is_linked_where_there_is_one() -> None:
    """To the first dashboard; without one there is no link, and never a hole in the line."""
    with_link, without = render_bar("http://127.0.0.1:3000"), render_bar("")

    assert '<a href="http://127.0.0.1:3000/d/netpoll-lab-compare"' in with_link
    assert "Grafana" not in without
    for bar in (with_link, without):
        assert "{grafana}" not in bar
        assert '<a href="./lab"' in bar


def test_an_address_stays_an_address() -> None:
    """A quote in it ends no attribute."""
    assert '"><script' not in render_bar('http://h/"><script>')
