"""Run the command line with `python -m connector`."""

from connector.cli.start import main

if __name__ == "__main__":
    main()
