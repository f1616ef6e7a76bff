"""Exploration of chip designs: the space, the search, the rungs from counting to simulation, the engines, the front."""
