"""What can go wrong while reading or being asked; each text is one line that names who and what was seen."""


class Malformed(ValueError):
    """Kernel text that does not have the documented shape."""


class Unavailable(Exception):
    """A source that cannot be read here and now, with the reason; never turned into a number."""


class Absent(Unavailable):
    """What this host, kernel or server does not have at all: no number, and no failure that would be counted."""


class BadTarget(ValueError):
    """A registration that cannot be observed as it was sent; becomes a 400."""


class UnknownTarget(KeyError):
    """A name nobody registered; becomes a 404."""
