"""`python -m gpusteward`: the same as the `gpusteward` command."""

from gpusteward.cli import main

if __name__ == "__main__":
    main()
