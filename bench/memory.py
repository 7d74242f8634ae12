"""Memory of this process, as the kernel counts it."""

from pathlib import Path


def peak_mb() -> float:
    """The largest resident set so far, in MB. Not getrusage's: that begins with the size of whoever started the process."""
    return _field("VmHWM")


def resident_mb(pid: int | str = "self") -> float:
    return _field("VmRSS", pid)


def _field(name: str, pid: int | str = "self") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) / 1024
