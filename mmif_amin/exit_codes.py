"""What the exit codes of ``mmif-amin`` mean, beside 0 for success."""

__all__ = ["BAD_INPUT", "INTERRUPTED", "SOME_FAILED"]

BAD_INPUT = 2  # an input or option cannot be used; nothing was written
SOME_FAILED = 3  # some of many pairs or studies failed; the others are done
INTERRUPTED = 130  # Ctrl-C or SIGTERM
