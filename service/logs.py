"""Log lines as JSON objects on stderr, one a line, so that a collector needs no pattern."""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

import transformers

# What every log line of a request carries: its id and, where it is traced, the trace's.
REQUEST_FIELDS: ContextVar[dict[str, str]] = ContextVar("request_fields")


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, the fields of its request and its own, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update(REQUEST_FIELDS.get({}))
        entry.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            entry["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(entry, default=str)


def log_as_json() -> None:
    """Send all log records of this process to stderr as JSON lines, and nothing else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    transformers.utils.logging.disable_progress_bar()
