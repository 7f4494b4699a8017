//! Options from the command line, the environment and a TOML file, in this order of precedence.
