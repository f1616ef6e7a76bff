"""A problem that a TOML file states: a model of transformers, a type of task, files of examples."""
