"""The commands of `ecnas`, one file each, with `add_parser(subparsers)` and `run(args) -> int`."""
