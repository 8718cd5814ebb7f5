"""The one exception that a user's mistake becomes.

Every command turns a :class:`UserError` into one line on stderr and exit status 2. Anything else that
escapes is a defect of medgrpo and keeps its traceback.
"""

__all__ = ["ClipError", "MissingExtraError", "UserError"]


class UserError(Exception):
    """A mistake in the input: a file, a row, a field, a config key. The message says which and what to do."""


class ClipError(UserError):
    """The frames of a clip cannot be read: a file is broken, or the sampling policy refuses it.

    The one error that a run may survive, see :mod:`medgrpo.data.bad_clips`.
    """


class MissingExtraError(UserError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'medgrpo[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        return MissingExtraError, (self.package, self.extra)  # crosses the process border of data workers
