"""The commands of `ecnas`, one file each, with `add_options(parser)` and `run(args)`."""
