"""The error tree: every failure a user can meet, with the exit code the command ends with.

One line of text each, naming who, what was expected, what was seen and the next step. The CLI prints that
line without a traceback.
"""


class LabError(Exception):
    """Anything the lab can explain; the root of the tree."""

    exit_code = 3


class BadInput(LabError):
    """What the person wrote (lab.yaml, a manifest, an argument) cannot be used."""

    exit_code = 2


class EnvironmentMissing(LabError):
    """The machine lacks something: an engine, a package, a free port, a permission."""


class BuildFailed(LabError):
    """An image could not be built; the text ends with the last lines of the build's log."""


class NotReady(LabError):
    """Something was started and did not become ready within its deadline."""


class Lost(LabError):
    """Something a trial stands on, such as a worker, went in the middle of it."""


class LimitRefused(LabError):
    """A sysctl, ulimit or CPU set did not take, and the profile does not say best-effort."""


class Refused(LabError):
    """A variant failed the checks every variant must pass before it is loaded."""

    exit_code = 1


class Unsupported(LabError):
    """The kernel or the sandbox here refuses what a variant's technique needs; the text is the server's own line."""


class Undecided(LabError):
    """A run ended without enough valid trials to say anything."""

    exit_code = 4


class StoreDamaged(LabError):
    """The results database cannot be read or written."""


class Unsound(StoreDamaged):
    """The results database itself is damaged: it can be set aside and made anew from the run folders."""
