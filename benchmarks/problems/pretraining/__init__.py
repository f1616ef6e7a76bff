"""How the models that ship were trained."""
