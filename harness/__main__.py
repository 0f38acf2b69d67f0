"""The `harness` command, also as `python -m harness`: Ctrl-C is one line from the first import on."""

import sys


def main() -> None:
    """Entry point; nothing is imported before an interruption can be told."""
    try:
        from harness.cli import main as command

        command()
    except KeyboardInterrupt:  # before the command could take it, or while it ended
        if sys.stderr is not None:
            sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
