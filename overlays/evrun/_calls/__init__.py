"""A call as a value: arguments checked, bodies built, answers made into results, pages walked."""
