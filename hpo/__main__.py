"""`python -m hpo` is the command line, where no script of that name is on the path."""

from hpo.cli import main

if __name__ == "__main__":
    main()
