"""The scenarios of `lorabay bench`, a module each, named as on the command line."""
