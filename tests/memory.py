"""What a process holds, as Linux tells it: for the scripts that tests run in processes of their own."""

from pathlib import Path


def kib(name: str) -> int:
    """A line of this process's status, `VmRSS` (what it holds) or `VmHWM` (the most that it has held), in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
