"""The program burn-svm: ``python -m burn_svm``."""

import os
import sys
import tempfile


def main():
    """Run the program with the words of the command line, and end with its exit code."""
    if sys.platform == "linux":
        # Mesa's drivers complain on stderr where a session has not set this.
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    import signal

    from ._native import run_program

    # The program has its own answer to Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run_program(["burn-svm", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
