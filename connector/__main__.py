"""`python -m connector` is `connector`."""

from .cli import main

if __name__ == "__main__":
    main()
