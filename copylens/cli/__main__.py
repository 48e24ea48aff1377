"""`python -m copylens.cli`: the command where it is not on the path."""

from copylens.cli import main

if __name__ == "__main__":
    main()
