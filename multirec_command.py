"""Where the command ``multirec`` begins: Ctrl-C is noted before anything is imported that takes time."""

import signal


def main() -> None:
    """Run the command line, which decides what Ctrl-C does."""
    pressed: list[object] = []
    signal.signal(signal.SIGINT, lambda *details: pressed.append(details))
    from multirec.bench.host import interrupt
    from multirec.cli import main as command

    interrupt.hold()
    if pressed:
        signal.raise_signal(signal.SIGINT)
    command()


if __name__ == "__main__":
    main()
