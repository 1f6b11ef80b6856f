"""The errors of Cosup: few classes, each with a message for the person who can act on it."""


class CosupError(Exception):
    """Something a user can understand and act on.

    Args:
        message: What was wrong, with the offending value and the rule it breaks.
        where: The file, line, field or setting it stands in.
        remedy: What would be right.
    """

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.remedy}" if self.remedy else text


class InputError(CosupError):
    """A user's data, setting or request is wrong."""


class PairError(CosupError):
    """A pair cannot be read, written or used."""


class StoreError(CosupError):
    """A store is missing, damaged, or belongs to another pair."""


class DeadlineError(CosupError):
    """It took longer than it may, and was stopped."""


class BusyError(CosupError):
    """Somebody else holds the lock, or all places are taken: the same call may succeed later."""
