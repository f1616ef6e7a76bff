"""Problems that ship: a model and its tasks, one file each, and what several of them read."""
