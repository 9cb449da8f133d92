"""Keep Locust's default arguments once they are known.

For each message to spawn, a worker asks for them once per option of the form, some eighty times, and each time the
whole parser is built anew (locust 2.47, runners.py, `custom_args_from_master`): up to 0.1 s of CPU a message. Ten
workers that spawned 100,000 users in ten steps spent a third of their time on it. The answer is the same every time.
"""

from __future__ import annotations

import functools
from typing import Any


def keep_defaults(argument_parser: Any) -> None:
    """Have locust.argument_parser build its defaults once; the second time does nothing."""
    known = argument_parser.default_args_dict
    if not hasattr(known, "cache_info"):
        argument_parser.default_args_dict = functools.cache(known)
